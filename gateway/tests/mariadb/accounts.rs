//! Databases and their users: made, taken away, kept apart.

use funicular::database::{Address, Database, Password};

use crate::mariadb::Mariadb;
use crate::{database, made, name, over_socket, over_tcp, reached};

#[test]
fn a_user_has_one_database_and_nothing_else() {
    let server = Mariadb::start();
    for reached in [over_tcp(&server), over_socket(&server)] {
        let (own, other) = (made(&reached), made(&reached));
        own.create().unwrap();
        assert!(own.tables().unwrap().is_empty());
        own.query("CREATE TABLE t (id INT PRIMARY KEY)").unwrap();
        own.query("INSERT INTO t VALUES (1)").unwrap();
        let tables = own.tables().unwrap();
        assert_eq!(
            (tables[0].name.as_str(), tables[0].engine.as_deref()),
            ("t", Some("InnoDB"))
        );
        let charset = own.query("SELECT @@character_set_database").unwrap();
        assert_eq!(charset, ["utf8mb4"]);
        // The underscores of its name stand for themselves.
        let like = name(&own).replace('_', "x");
        server.sql(&format!(
            "CREATE DATABASE `{like}`; CREATE TABLE `{like}`.t (id INT)"
        ));
        for forbidden in [
            format!("SELECT * FROM `{}`.t", name(&other)),
            format!("CREATE TABLE `{}`.t (id INT)", name(&other)),
            format!("SELECT * FROM `{like}`.t"),
            "SELECT * FROM mysql.user".to_owned(),
            "CREATE DATABASE another".to_owned(),
            "SELECT 1 INTO OUTFILE '/tmp/never'".to_owned(),
            "LOAD DATA INFILE '/etc/passwd' INTO TABLE t".to_owned(),
            "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t".to_owned(),
            "SET GLOBAL general_log = 1".to_owned(),
            "SHUTDOWN".to_owned(),
            "SELECT 1; SELECT 2".to_owned(),
        ] {
            assert!(own.query(&forbidden).is_err(), "{forbidden}");
        }
        assert_eq!(own.query("SELECT LOAD_FILE('/etc/passwd')").unwrap(), [""]);
        assert_eq!(own.query("SELECT COUNT(*) FROM t").unwrap(), ["1"]);
        server.sql(&format!("DROP DATABASE `{like}`"));
    }
}

#[test]
fn removing_ends_connections_and_may_be_repeated() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let gone = made(&reached);
    gone.query("CREATE TABLE t (id INT PRIMARY KEY)").unwrap();
    let sleeping = std::thread::scope(|scope| {
        let sleeping = scope.spawn(|| {
            gone.query("SELECT SLEEP(600) FROM (SELECT 1) x WHERE NOT EXISTS (SELECT * FROM t)")
        });
        let sleeps = format!(
            "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{}'",
            name(&gone)
        );
        while server.sql(&sleeps) == "0" {
            std::thread::yield_now();
        }
        gone.remove().unwrap();
        sleeping.join().unwrap()
    });
    assert!(sleeping.is_err() || sleeping.unwrap() == ["1"]);
    gone.remove().unwrap();
    assert!(gone.tables().is_err());
    let left = server.sql(&format!(
        "SELECT COUNT(*) FROM mysql.user WHERE User = '{0}'; SHOW DATABASES LIKE '{0}'",
        name(&gone)
    ));
    assert_eq!(left, "0");
}

#[test]
fn a_password_is_changed_and_a_wrong_one_refused() {
    let server = Mariadb::start();
    let reached = over_tcp(&server);
    let Database::Served {
        server: at,
        name,
        user,
        password,
    } = made(&reached)
    else {
        panic!("a database on a server");
    };
    let with = |password: Password| Database::Served {
        server: at.clone(),
        name: name.clone(),
        user: user.clone(),
        password,
    };
    let (old, new) = (
        with(password),
        with(Password::new("an\"other' \\ one".to_owned())),
    );
    let new_password = Password::new("an\"other' \\ one".to_owned());
    assert!(new.tables().is_err());
    old.set_password(&new_password).unwrap();
    assert!(new.tables().unwrap().is_empty());
    let error = old.tables().unwrap_err().to_string();
    assert!(
        error.contains("Access denied") && !error.contains("it's"),
        "{error}"
    );
    // Making it again gives the password that it is made with.
    old.create().unwrap();
    assert!(old.tables().is_ok());
}

#[test]
fn a_server_that_is_away_or_knows_another_password_is_told() {
    let server = Mariadb::start();
    let tcp = |port| Address::Tcp {
        host: "localhost".to_owned(),
        port,
    };
    let wrong = database(&reached(tcp(server.port()), "wrong"));
    let error = wrong.create().unwrap_err().to_string();
    assert!(error.contains("Access denied"), "{error}");
    let away = database(&reached(Address::Socket("/nonexistent/socket".into()), "x"));
    assert!(away.create().is_err());
    assert!(server.sql("SHOW DATABASES LIKE 'f%'").is_empty());
}
