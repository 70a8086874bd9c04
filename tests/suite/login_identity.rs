//! Identity comes from a proven key alone: attacks by a client that lies, and keys that OpenSSH's
//! client cannot use without hardware.

use std::fs;

use russh::MethodKind;
use russh::client::{AuthResult, KeyboardInteractiveAuthResponse as Dialogue};
use russh::keys::HashAlg;
use support::guest::{self, Heard, SecurityKey, TOUCHED};
use support::{Person, Role, Site, personas};

use crate::login::SHARED;

/// The attack: SSH lets a client ask whether a key would do before it proves that it has it. A server
/// that takes the key asked about for the one proven lets anyone in who knows a public key; the
/// administrator's is no secret. (It happened: soft-serve, fixed in 2025.)
///
/// Checked: the attacker offers Ada's key, proves his own, and can do what he can do, no more.
#[test]
fn offering_the_administrators_key_gives_no_rights_of_hers() {
    let (site, mallory) = site("t-offer");
    let ada = site.person(Role::Administrator);
    // OpenSSH offers a public key whose private half is missing, then goes on to the next.
    let decoy = mallory.desk("offer").join("ada.pub");
    fs::copy(ada.public_key(), &decoy).unwrap();
    let config = fs::read_to_string(mallory.config()).unwrap();
    let first = format!(
        "IdentityFile {}\n",
        mallory.desk("offer").join("ada").display()
    );
    fs::write(mallory.config(), first + &config).unwrap();

    let greeting = mallory
        .openssh("ssh")
        .args(["-v", "-T", "console@gateway"])
        .run()
        .ok();
    let offers = greeting.err().matches("Server accepts key").count();
    assert!(offers >= 2, "the decoy was not offered first: {greeting}");
    assert!(greeting.out().contains("mallory"), "{greeting}");
    assert!(!greeting.out().contains("ada"), "{greeting}");
    mallory.console(&["user:list"]).run().fails();
    mallory
        .console(&["user:add", "evil", "--administrator"])
        .run()
        .fails();
    mallory.console(&["site:info", "t-offer"]).run().fails();
    site.sftp(&mallory, "dev", "ls /code\n").run().fails();
    site.sftp(&mallory, "dev", "mkdir /code/evil\n")
        .run()
        .fails();
    assert!(!site.tree("dev", "code").holds("evil"));
    site.must(&["user:list"]).says_not("evil");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_about_the_proven_key_is_found_out() {
    let (site, mallory) = site("t-lie");
    let adas = guest::public_key(&site.person(Role::Administrator).public_key());
    let own = guest::private_key(&mallory.key());
    let address = site.address();

    // His own signature under her key.
    let mut handle = guest::connect(address).await;
    let entered = guest::offer(&mut handle, "console", adas.clone(), |to_sign| {
        Some(guest::signed(&own, to_sign))
    });
    assert!(!entered.await, "a signature by another key was taken");

    // No signature at all, then his own key: he is himself.
    let mut handle = guest::connect(address).await;
    assert!(!guest::offer(&mut handle, "console", adas.clone(), |_| None).await);
    assert!(guest::log_in(&mut handle, "console", &mallory.key(), None).await);
    assert!(is_mallory(&handle).await);

    // A signed request for his own key where one for hers was asked.
    let mut handle = guest::connect(address).await;
    let swapped = |to_sign: Vec<u8>| Some(guest::swapped(&own, "console", &to_sign));
    if guest::offer(&mut handle, "console", adas.clone(), swapped).await {
        assert!(is_mallory(&handle).await);
    }

    // Her key offered for the console, his own proven for an environment.
    let mut handle = guest::connect(address).await;
    assert!(!guest::offer(&mut handle, "console", adas.clone(), |_| None).await);
    let entered = guest::log_in(&mut handle, "dev.t-lie", &mallory.key(), None).await;
    if entered {
        let mut channel = handle.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let heard = guest::listen(&mut channel, |heard| heard.refused).await;
        assert!(
            heard.refused || heard.closed,
            "a stranger got an SFTP session: {heard:?}"
        );
        assert_ne!(
            heard.exit_status,
            Some(0),
            "a stranger got an SFTP session: {heard:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sha_1_signatures_are_refused_and_sha_2_taken() {
    let (site, _) = site("t-sha");
    let tom = site.person(Role::TeamMember);
    let key = tom.desk("sha").join("rsa");
    personas::make_key(&key, &["-t", "rsa", "-b", "3072"], "rsa");
    site.must(&[
        "ssh-key:add",
        &format!("{}.pub", key.display()),
        "--user",
        "tom",
    ]);
    for hash in [HashAlg::Sha256, HashAlg::Sha512] {
        let mut handle = guest::connect(site.address()).await;
        assert!(
            guest::log_in(&mut handle, "dev.t-sha", &key, Some(hash)).await,
            "{hash:?}"
        );
    }
    let mut handle = guest::connect(site.address()).await;
    assert!(
        !guest::log_in(&mut handle, "dev.t-sha", &key, None).await,
        "ssh-rsa with SHA-1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_security_key_logs_in_and_a_forged_one_does_not() {
    let (site, _) = site("t-fido");
    let tom = site.person(Role::TeamMember);
    let mallory = site.person(Role::Attacker);
    let login = "dev.t-fido";
    for kind in ["ed25519", "ecdsa"] {
        let inner = tom.desk("fido").join(kind);
        personas::make_key(&inner, &["-t", kind], "the inner key");
        let mut key = SecurityKey::new(&inner);
        let public = key.public();
        let file = tom.desk("fido").join(format!("{kind}_sk.pub"));
        fs::write(&file, format!("{}\n", public.to_openssh().unwrap())).unwrap();
        site.must(&["ssh-key:add", &file.display().to_string(), "--user", "tom"]);
        for _ in 0..2 {
            let mut handle = guest::connect(site.address()).await;
            let touched = |to_sign| Some(key.signed(TOUCHED, to_sign));
            assert!(
                guest::offer(&mut handle, login, public.clone(), touched).await,
                "{kind}"
            );
        }
        // Another key's signature, and a plain one by the inner key.
        let stolen = mallory.desk("fido").join(kind);
        personas::make_key(&stolen, &["-t", kind], "another key");
        let mut other = SecurityKey::new(&stolen);
        let mut handle = guest::connect(site.address()).await;
        let forged = |to_sign| Some(other.signed(TOUCHED, to_sign));
        assert!(
            !guest::offer(&mut handle, login, public.clone(), forged).await,
            "{kind}"
        );
        let inner = guest::private_key(&inner);
        let mut handle = guest::connect(site.address()).await;
        let plain = |to_sign| Some(guest::signed(&inner, to_sign));
        assert!(
            !guest::offer(&mut handle, login, public.clone(), plain).await,
            "{kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_public_keys_are_offered_as_a_way_in() {
    let (site, _) = site("t-methods");
    let mut handle = guest::connect(site.address()).await;
    let AuthResult::Failure {
        remaining_methods, ..
    } = handle.authenticate_none("console").await.unwrap()
    else {
        panic!("got in with nothing");
    };
    assert!(remaining_methods.contains(&MethodKind::PublicKey));
    assert!(!remaining_methods.contains(&MethodKind::Password));
    for password in ["", "password"] {
        let result = handle.authenticate_password("ada", password).await;
        assert!(!result.is_ok_and(|result| result.success()));
    }
    // Keyboard-interactive may tell why a key was not taken; it asks nothing and lets nobody in.
    let mut handle = guest::connect(site.address()).await;
    let mut step = handle
        .authenticate_keyboard_interactive_start("ada", None)
        .await;
    for _ in 0..5 {
        match step {
            Ok(Dialogue::Success) => panic!("got in with nothing"),
            Ok(Dialogue::InfoRequest { prompts, .. }) => {
                assert!(prompts.is_empty(), "something was asked: {prompts:?}");
                step = handle
                    .authenticate_keyboard_interactive_respond(Vec::new())
                    .await;
            }
            Ok(Dialogue::Failure { .. }) | Err(_) => return,
        }
    }
    panic!("the dialogue does not end");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_more_than_a_command_are_refused_at_once() {
    let (site, _) = site("t-requests");
    let tom = site.person(Role::TeamMember);
    let mut handle = guest::connect(site.address()).await;
    assert!(guest::log_in(&mut handle, "dev.t-requests", &tom.key(), None).await);
    let answered = |heard: &Heard| heard.accepted || heard.refused;

    let mut channel = handle.channel_open_session().await.unwrap();
    channel
        .request_pty(true, "xterm", 80, 24, 0, 0, &[])
        .await
        .unwrap();
    // There is none; but refused, a person who insists would see no sentence.
    assert!(guest::listen(&mut channel, answered).await.accepted);
    channel
        .request_x11(true, false, "MIT-MAGIC-COOKIE-1", "00", 0)
        .await
        .unwrap();
    assert!(
        guest::listen(&mut channel, answered).await.refused,
        "X11 was forwarded"
    );
    channel.agent_forward(true).await.unwrap();
    assert!(
        guest::listen(&mut channel, answered).await.refused,
        "the agent was forwarded"
    );
    channel.request_subsystem(true, "netconf").await.unwrap();
    let heard = guest::listen(&mut channel, |heard| heard.refused).await;
    assert!(
        heard.refused || heard.exit_status != Some(0),
        "an unknown subsystem: {heard:?}"
    );

    assert!(
        handle
            .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 1)
            .await
            .is_err()
    );
    assert!(
        handle
            .channel_open_direct_streamlocal("/run/control.sock")
            .await
            .is_err()
    );
    assert!(handle.tcpip_forward("127.0.0.1", 0).await.is_err());
    assert!(
        handle
            .streamlocal_forward("/tmp/funicular-forward")
            .await
            .is_err()
    );

    // The connection still serves.
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    assert!(guest::listen(&mut channel, answered).await.accepted);
}

async fn is_mallory(handle: &russh::client::Handle<guest::Guest>) -> bool {
    let mut channel = handle.channel_open_session().await.unwrap();
    channel.request_shell(true).await.unwrap();
    let heard = guest::listen(&mut channel, |_| false).await;
    assert!(heard.text.contains("mallory"), "who is it? {heard:?}");
    !heard.text.contains("ada")
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let mallory = site.person(Role::Attacker).at_another_computer(name);
    (site, mallory)
}
