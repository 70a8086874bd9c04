//! What a push changes, from what was permitted and prepared.

use git2::Oid;
use hooks::{RefResult, Update};
use policy::{Environment, RefKind};

use super::facts::{object, open};
use super::tag::deploy_tag;
use super::{Examined, Ready, note, result, short};
use crate::fault::Fault;
use crate::site::{Sites, hotfix};
use crate::state::{DeploymentKind, Intent, RefMove};

/// What a push is to change, and what is said of it.
#[derive(Default)]
pub(super) struct Planned {
    pub kind: &'static str,
    pub intent: Intent,
    pub results: Vec<RefResult>,
    pub done: Vec<String>,
}

/// Says what it changes; writes the tag that it is deployed as, which no ref points to yet.
pub(super) fn plan(sites: &Sites, ready: &Ready) -> Result<Planned, Fault> {
    let Examined {
        site: name,
        remote,
        updates,
        ..
    } = &ready.examined;
    let repository = open(sites, name, None)?;
    let Planned {
        mut kind,
        mut intent,
        mut results,
        mut done,
    } = Planned {
        kind: "push",
        ..Planned::default()
    };
    let deployed_place = ready.deployed.as_ref().map(|(place, _)| *place);
    for (place, (one, permit)) in updates.iter().zip(&ready.permits).enumerate() {
        let mut result = result(one);
        let moved = RefMove {
            name: one.update.name.clone(),
            old: object(&one.update.old)?.map(|id| id.to_string()),
            new: object(&one.update.new)?.map(|id| id.to_string()),
        };
        if deployed_place == Some(place) {
            let commit =
                object(&one.update.new)?.ok_or_else(|| Fault::new("a deploy of no commit"))?;
            intent.commit = Some(commit.to_string());
            if let RefKind::Hotfix(hotfix) = &one.facts.kind {
                kind = "hotfix";
                let tag = deploy_tag(sites, &repository, permit, name, remote, commit, one)?;
                intent.number = Some(tag.0);
                intent.kind = Some(DeploymentKind::Hotfix);
                intent.note = note(one);
                if matches!(remote, Environment::Live) {
                    intent.hotfix = Some(hotfix.clone());
                    intent.refs.push(moved);
                } else {
                    // Test only tries the hotfix: the branch itself comes into being on Live, or
                    // the push to Live would find nothing new to send.
                    result.instead = Some(Update {
                        old: Oid::ZERO_SHA1.to_string(),
                        new: tag.1.new.clone().unwrap_or_default(),
                        name: tag.1.name.clone(),
                    });
                }
                done.push(format!("{} is {}.", tag.1.name, short(commit)));
                intent.refs.push(tag.1);
            } else {
                kind = "sync_code";
                intent.refs.push(moved);
                if one.facts.kind == RefKind::Trunk {
                    intent.merged = hotfix::merged_hotfixes(sites, &repository, name, commit)?;
                }
            }
            done.insert(0, format!("Deployed {} to {name}.{remote}.", short(commit)));
        } else {
            intent.refs.push(moved);
        }
        results.push(result);
    }
    intent.generation = ready
        .deployed
        .as_ref()
        .map(|(_, release)| release.generation());
    for hotfix in &intent.merged {
        done.push(format!(
            "hotfix/{hotfix} is now on trunk, and so no longer open."
        ));
    }
    if intent.hotfix.is_some() {
        done.push(format!(
            "This hotfix stays open until trunk contains it: hotfix:merge {name} {}",
            intent.hotfix.as_ref().map_or("", |hotfix| hotfix.as_str())
        ));
    }
    Ok(Planned {
        kind,
        intent,
        results,
        done,
    })
}
