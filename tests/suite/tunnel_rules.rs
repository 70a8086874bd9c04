//! Who may reach an environment's database, and who says where it is.

use support::Role;
use support::authority::{Authority, newcomer};

use crate::tunnels::{rows, site, through};

#[test]
fn who_may_not_reach_a_database_is_told_so() {
    let (site, database) = site("t-db-roles");
    for environment in ["dev", "test", "live"] {
        let place = format!("SITE.{environment}");
        site.must(&["env:set", &place, "database", &database.at()]);
    }
    for (role, environment, may) in [
        (Role::Viewer, "dev", false),
        (Role::Developer, "dev", true),
        (Role::Developer, "test", false),
        (Role::Developer, "live", false),
        (Role::TeamMember, "live", true),
        (Role::Stranger, "dev", false),
    ] {
        let before = database.connections();
        let tried = through(&site, site.person(role), environment, "database:3306").run();
        if may {
            tried.ok().says("you said hello");
        } else {
            tried.fails().says("Refused: ").says("[incident ");
            assert_eq!(database.connections(), before, "{role:?} reached it");
            let rows = rows(&site, "database-connect");
            let person = role.person();
            assert!(
                rows.iter()
                    .any(|row| row.contains("refuse") && row.contains(person)),
                "no row for {person}: {rows:#?}"
            );
        }
    }
}

#[test]
fn a_certificate_forwards_only_if_it_says_so() {
    let (site, database) = site("t-db-certificate");
    site.must(&["env:set", "SITE.dev", "database", &database.at()]);
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "db-authority");
    site.must(&["ca:add", &authority.public_key().display().to_string()]);
    let tom = site.person(Role::TeamMember).clone();
    let robot = newcomer(&site.gateway, "db-robot");
    for (options, sentence) in [
        (&[][..], None),
        (
            &["-O", "no-port-forwarding"],
            Some("Your certificate does not allow forwarding"),
        ),
        (
            &["-O", "force-command=internal-sftp"],
            Some("Your certificate allows one command only"),
        ),
    ] {
        authority.sign(&robot, &[&["-I", "db", "-n", &tom.name], options].concat());
        let before = database.connections();
        let tried = through(&site, &robot, "dev", "database:3306").run();
        match sentence {
            None => drop(tried.ok().says("you said hello")),
            Some(sentence) => {
                tried.fails().says(sentence).says("[incident ");
                assert_eq!(database.connections(), before);
                site.must(&["audit:list", "--rule", "certificate-forwards-nothing"])
                    .says("to database:3306");
            }
        }
    }
}

#[test]
fn only_the_servers_administrators_say_where_a_database_is() {
    let (site, database) = site("t-db-set");
    let set = |value: &str| ["env:set", "SITE.dev", "database", value].map(str::to_owned);
    for role in [Role::TeamMember, Role::Developer, Role::Viewer] {
        let words = set(&database.at());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.console(site.person(role), &words)
            .run()
            .code(3)
            .says("Refused: ");
    }
    let rows = rows(&site, "database-set");
    assert_eq!(rows.len(), 3, "{rows:#?}");
    for senseless in ["here", "127.0.0.1:0", "/run/mysqld.sock", "a b:1"] {
        let words = set(senseless);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.command(&words).run().code(1).says("HOST:PORT");
    }
    let tom = site.person(Role::TeamMember);
    through(&site, tom, "dev", "database:3306")
        .run()
        .fails()
        .says("has no database");
    site.must(&["env:set", "SITE.dev", "database", &database.at()]);
    through(&site, tom, "dev", "database:3306").run().ok();
    site.must(&["env:set", "SITE.dev", "database", "none"]);
    through(&site, tom, "dev", "database:3306")
        .run()
        .fails()
        .says("has no database");
}
