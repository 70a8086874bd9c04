//! What targets were told and are to be told, and telling it again.

use policy::{Action, Environment, Target as On};
use serde_json::Value;

use super::table::Table;
use super::target_command::Place;
use super::{Done, Run, Stop};
use crate::site::targets;
use crate::state::{DeliveryStatus, for_people};

impl Run<'_> {
    pub(super) async fn delivery_list(&mut self, place: Place, status: Option<String>) -> Done {
        // It is asked of each environment that is shown.
        let environments: Vec<Environment> = match &place.environment {
            Some(environment) => vec![environment.clone()],
            None => {
                self.view(&place.site)?;
                let model = self.console.state.model();
                let site = model.sites.get(&place.site);
                site.map(|site| site.environments.keys().cloned().collect())
                    .unwrap_or_default()
            }
        };
        let mut names = Vec::new();
        for environment in environments {
            let on = On::Environment(place.site.clone(), environment.clone());
            self.permit(Action::ViewTargets, &on)?.forget();
            names.extend(self.targets_of(&place.site, &environment)?);
        }
        let columns = [
            "id",
            "env",
            "target",
            "event",
            "workflow",
            "status",
            "attempts",
            "created_at",
            "next_at",
            "result",
        ];
        let mut table = Table::new(&columns);
        let status = status.as_deref().map(str::parse).transpose()?;
        let deliveries =
            self.console
                .state
                .deliveries(&place.site, place.environment.as_ref(), status)?;
        for one in deliveries {
            let Some(target) = names.iter().find(|target| target.id == one.target) else {
                continue;
            };
            let next = match one.status {
                DeliveryStatus::Waiting => for_people(one.next).into(),
                DeliveryStatus::Delivered | DeliveryStatus::Failed => Value::Null,
            };
            table.push(vec![
                one.id.as_str().into(),
                target.environment.as_str().into(),
                target.name.as_str().into(),
                one.told.event.as_str().into(),
                one.told.workflow.as_str().into(),
                one.status.as_str().into(),
                one.attempts.into(),
                for_people(one.created).into(),
                next,
                one.result.map_or(Value::Null, Value::from),
            ]);
        }
        self.reply.print(&table).await?;
        Ok(())
    }

    pub(super) async fn delivery_retry(&mut self, id: &str) -> Done {
        let unknown = || {
            Stop::Failed(format!(
                "There is no delivery '{}'; delivery:list SITE shows them.",
                policy::escape(id.as_bytes())
            ))
        };
        let delivery = self.console.state.delivery(id)?.ok_or_else(unknown)?;
        let target = self
            .console
            .state
            .target(delivery.target)?
            .ok_or_else(unknown)?;
        let on = On::Environment(target.site, target.environment);
        let permit = self.permit(Action::ManageTargets, &on)?;
        targets::retry(&self.console.sites, permit, &delivery)?;
        let _ = self
            .reply
            .out(&format!("{} is told again: {id}\n", target.name))
            .await;
        Ok(())
    }
}
