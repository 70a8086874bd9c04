//! `funicular init`: a data folder from nothing.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use policy::PersonName;

use super::place;
use crate::audit::{Audit, Decided, Durability, IncidentId, Outcome, Record, Who};
use crate::config::{Config, EXAMPLE};
use crate::fault::{Fault, OrFault};
use crate::protocol::ssh::{HostKeys, PublicKey};
use crate::state::{Key, State};

/// What was asked for.
#[derive(Debug)]
pub struct Wanted {
    /// The folder.
    pub data: PathBuf,
    /// The administrator's name.
    pub admin: PersonName,
    /// The file of the administrator's public key.
    pub admin_key: PathBuf,
    /// Where to listen.
    pub listen: Option<SocketAddr>,
    /// The host name that people see.
    pub public_host: Option<String>,
    /// Where the configuration goes, if not into the folder.
    pub write_config: Option<PathBuf>,
}

/// Makes the folder. Everything is checked before anything is made.
pub fn init(wanted: &Wanted) -> Result<u32, Fault> {
    let data = std::path::absolute(&wanted.data).or_fault(|| "finding the data folder")?;
    let text = fs::read_to_string(&wanted.admin_key)
        .or_fault(|| format!("reading {}", wanted.admin_key.display()))?;
    let key = PublicKey::parse(&text)
        .map_err(|sentence| Fault::new(format!("{}: {sentence}", wanted.admin_key.display())))?;
    if data.join(place::STATE).exists() {
        return Err(Fault::new(format!(
            "{} holds a gateway already; nothing was changed",
            data.display()
        )));
    }
    let config_path = wanted
        .write_config
        .clone()
        .unwrap_or_else(|| data.join("funicular.toml"));
    if config_path.exists() {
        return Err(Fault::new(format!(
            "{} exists already; nothing was changed",
            config_path.display()
        )));
    }
    let config_text = configuration(&data, wanted)?;
    let config = Config::parse(&config_text).map_err(Fault::new)?;

    private(&data)?;
    let keys = HostKeys::create(&data.join(place::HOST_KEYS))?;
    private(&data.join(place::SITES))?;
    Audit::create(&data.join(place::AUDIT))?;
    State::create(&data.join(place::STATE))?;
    administrator(&data, &wanted.admin, key)?;
    fs::write(&config_path, config_text)
        .or_fault(|| format!("writing {}", config_path.display()))?;

    println!(
        "Made {} with {} as administrator.",
        data.display(),
        wanted.admin
    );
    println!("\nFingerprints of the host keys, for people to compare:");
    for line in keys.fingerprints() {
        println!("  {line}");
    }
    let host = &config.listen.public_host;
    let port = config.listen.ssh.first().map_or(2222, SocketAddr::port);
    if port == 0 {
        println!("\nThe port is chosen at each start, so there are no lines for known_hosts.");
    } else {
        println!("\nLines for known_hosts:");
        for line in keys.known_hosts(host, port) {
            println!("  {line}");
        }
    }
    println!("\nNext: funicular serve --config {}", config_path.display());
    Ok(0)
}

/// The commented example with what was asked for put in its place.
fn configuration(data: &Path, wanted: &Wanted) -> Result<String, Fault> {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let data = data
        .to_str()
        .ok_or_else(|| Fault::new("the path of the data folder is not UTF-8"))?;
    let mut text = EXAMPLE.replace("\"/var/lib/funicular\"", &quoted(data));
    if let Some(listen) = wanted.listen {
        text = text.replace("\"0.0.0.0:2222\"", &quoted(&listen.to_string()));
    }
    if let Some(host) = &wanted.public_host {
        text = text.replace("\"localhost\"", &quoted(host));
    } else if let Some(listen) = wanted.listen.filter(|listen| !listen.ip().is_unspecified()) {
        text = text.replace("\"localhost\"", &quoted(&listen.ip().to_string()));
    }
    Ok(text)
}

fn private(folder: &Path) -> Result<(), Fault> {
    let doing = || format!("making {}", folder.display());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(folder)
        .or_fault(doing)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o750)).or_fault(doing)
}

fn administrator(data: &Path, name: &PersonName, key: PublicKey) -> Result<(), Fault> {
    let state = State::open(&data.join(place::STATE))?;
    state.put_person(name, None, Some(true))?;
    let fingerprint = key.fingerprint.clone();
    state.add_key(&Key {
        id: "first".to_owned(),
        person: name.clone(),
        line: key.line,
        fingerprint: key.fingerprint,
        comment: key.comment,
        created: Timestamp::now(),
        expires: None,
        sources: None,
        limits: policy::Limits::default(),
    })?;
    let audit = Audit::open(&data.join(place::AUDIT))?;
    let now = Timestamp::now();
    audit.append(
        Record {
            time: now,
            incident: IncidentId::new(now),
            who: Who {
                person: Some(PersonName::local().to_string()),
                address: Some("local".to_owned()),
                client: Some("funicular init".to_owned()),
                fingerprint: None,
            },
            site: None,
            environment: None,
            mode: None,
            area: None,
            object: Some(name.to_string()),
            action: "people".to_owned(),
            decision: Decided::Permit,
            rule: "init".to_owned(),
            bytes: 0,
            outcome: Outcome::Done,
            detail: Some(format!("first administrator, {fingerprint}")),
            count: 1,
        },
        Durability::Durable,
    )?;
    audit.close()
}
