//! Stock git against the gateway: clone, fetch and push in each of their forms.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use support::{Clone, Person, Role, Shared, Site, Tree, gateway, tree};

pub(crate) static SHARED: Shared = Shared::new();

#[test]
fn a_clone_holds_the_site_and_a_push_changes_dev() {
    let (site, tom) = git_site("g-basic");
    let clone = Clone::new(&site, &tom);
    let cloned = Tree::read(clone.folder()).without(|path| path.starts_with(b".git"));
    cloned.must_equal(&gateway::sample_tree());

    let commit = clone.commit("index.php", "<?php echo 'second';\n");
    let pushed = clone.must(&["push", "dev", "main"]);
    assert!(
        pushed.err().contains("remote: "),
        "the deploy's steps are on the screen: {pushed}"
    );
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"<?php echo 'second';\n"[..])
    );
    assert!(!site.tree("dev", "code").holds(".git"));

    let dana = site.person(Role::Developer);
    let other = Clone::new(&site, dana);
    assert_eq!(other.ask(&["rev-parse", "HEAD"]), commit);
    let next = other.commit("lib/menu.php", "<?php // a longer menu\n");
    other.must(&["push", "dev", "main"]);
    clone.must(&["fetch", "--quiet", "dev"]);
    assert_eq!(clone.ask(&["rev-parse", "dev/main"]), next);

    // Who is behind is told so by git, and nothing moves.
    clone.commit("index.php", "<?php echo 'behind';\n");
    clone
        .git(&["push", "dev", "main"])
        .run()
        .fails()
        .says("rejected");
    assert_eq!(
        other
            .ask(&["ls-remote", "dev", "refs/heads/main"])
            .split_whitespace()
            .next(),
        Some(&*next)
    );
}

#[test]
fn each_form_of_the_address_leads_to_the_site() {
    let (site, tom) = git_site("g-address");
    let expected = clone_head(&site, &tom);
    for address in [
        "ssh://dev.g-address@gateway/repository.git",
        "ssh://dev.g-address@gateway/~/repository.git",
        "ssh://dev.g-address@gateway/g-address.git",
        "ssh://codeserver.dev.g-address@gateway/~/repository.git",
        "dev.g-address@gateway:repository.git",
        "ssh://test.g-address@gateway/repository.git",
        "ssh://live.g-address@gateway/repository.git",
    ] {
        let listed = tom
            .client("git")
            .args(["ls-remote", address, "refs/heads/main"])
            .run()
            .ok();
        assert!(listed.out().starts_with(&expected), "{address}: {listed}");
    }
    for address in [
        "ssh://dev.g-address@gateway/other.git",
        "ssh://dev.g-address@gateway/../repository.git",
        "ssh://dev.g-address@gateway/repository.git/../../state.db",
        "dev.g-address@gateway:--upload-pack=touch",
    ] {
        tom.client("git")
            .args(["ls-remote", "--", address])
            .run()
            .fails();
    }
}

#[test]
fn protocol_version_2_is_spoken_and_older_ones_too() {
    let (site, tom) = git_site("g-version");
    let url = site.url("dev");
    let traced = tom
        .client("git")
        .env("GIT_TRACE_PACKET", "1")
        .args(["-c", "protocol.version=2", "ls-remote", &url])
        .run()
        .ok();
    assert!(traced.err().contains("< version 2"), "{traced}");
    for version in ["0", "1"] {
        let option = format!("protocol.version={version}");
        let listed = tom
            .client("git")
            .args(["-c", &option, "ls-remote", &url])
            .run()
            .ok();
        assert!(listed.out().contains("refs/heads/main"), "{listed}");
    }
}

#[test]
fn a_shallow_clone_can_be_deepened_and_pushed_from() {
    let (site, tom) = git_site("g-shallow");
    let whole = Clone::new(&site, &tom);
    for number in 0..4 {
        whole.commit("index.php", &format!("<?php echo {number};\n"));
    }
    whole.must(&["push", "--quiet", "dev", "main"]);
    let shallow = Clone::with(&site, &tom, "g-shallow-1", &["--depth", "1"]);
    assert_eq!(shallow.ask(&["rev-list", "--count", "HEAD"]), "1");
    shallow.must(&["fetch", "--quiet", "--deepen", "1", "dev"]);
    assert_eq!(shallow.ask(&["rev-list", "--count", "HEAD"]), "2");
    let commit = shallow.commit("theme/style.css", "body { color: blue }\n");
    shallow.must(&["push", "--quiet", "dev", "main"]);
    shallow.must(&["fetch", "--quiet", "--unshallow", "dev"]);
    assert_eq!(shallow.ask(&["rev-list", "--count", "HEAD"]), "6");
    assert_eq!(clone_head(&site, &tom), commit);
}

#[test]
fn a_partial_clone_leaves_blobs_behind_and_fetches_them_on_demand() {
    let (site, tom) = git_site("g-partial");
    let partial = Clone::with(
        &site,
        &tom,
        "g-partial-1",
        &["--filter=blob:none", "--no-checkout"],
    );
    let missing = || {
        let objects = partial.ask(&["rev-list", "--objects", "--all", "--missing=print"]);
        objects.lines().filter(|line| line.starts_with('?')).count()
    };
    assert!(missing() >= 4, "the filter was ignored");
    partial.must(&["checkout", "--quiet", "main"]);
    assert_eq!(missing(), 0);
    let checked_out = Tree::read(partial.folder()).without(|path| path.starts_with(b".git"));
    checked_out.must_equal(&gateway::sample_tree());
}

#[test]
fn an_archive_can_be_had_without_a_clone() {
    let (site, tom) = git_site("g-archive");
    let archive = tom
        .client("git")
        .args(["archive", "--remote", &site.url("dev"), "main"])
        .run()
        .ok();
    assert!(archive.stdout.len() > 1024);
    let desk = tom.desk("archive");
    tom.client("tar")
        .args(["-x"])
        .folder(&desk)
        .input(&archive.stdout)
        .run()
        .ok();
    Tree::read(&desk).must_equal(&gateway::sample_tree());
}

#[test]
fn push_options_are_taken() {
    let (site, tom) = git_site("g-options");
    let clone = Clone::new(&site, &tom);
    clone.commit("index.php", "<?php echo 'with options';\n");
    clone.must(&[
        "push",
        "-o",
        "reason=because it is a test",
        "-o",
        "anything",
        "dev",
        "main",
    ]);
}

#[test]
fn one_refused_ref_refuses_all_and_keeps_no_object() {
    let (site, tom) = git_site("g-atomic");
    let clone = Clone::new(&site, &tom);
    let before = clone_head(&site, &tom);
    clone.commit("index.php", "<?php echo 'never';\n");
    clone.must(&["tag", "test_9"]);
    clone.must(&["branch", "topic"]);
    let objects = objects(&site.repository());
    for options in [&["--atomic"][..], &[][..]] {
        let push = [&["push"], options, &["dev", "topic", "main", "test_9"]].concat();
        let refused = clone.git(&push).run().fails().says("remote rejected");
        has_remote_sentence(&refused);
        assert_eq!(clone_head(&site, &tom), before);
        let refs = clone.ask(&["ls-remote", "dev"]);
        assert!(
            !refs.contains("topic") && !refs.contains("test_9"),
            "{refs}"
        );
        assert_eq!(
            self::objects(&site.repository()),
            objects,
            "objects were kept"
        );
    }
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
}

#[test]
fn a_large_push_arrives_whole() {
    let (site, tom) = git_site("g-large");
    let clone = Clone::new(&site, &tom);
    let content = tree::noise(11, 30 * 1024 * 1024);
    fs::write(clone.folder().join("large.bin"), &content).unwrap();
    let mut sample = gateway::sample_tree().file("large.bin", &content);
    for number in 0..1500 {
        let path = format!("many/{}/{number}.txt", number % 30);
        let text = format!("file {number}\n");
        fs::create_dir_all(clone.folder().join(&path).parent().unwrap()).unwrap();
        fs::write(clone.folder().join(&path), &text).unwrap();
        sample = sample.file(path, text);
    }
    clone.must(&["add", "--all"]);
    clone.must(&["commit", "--quiet", "--message", "Add much"]);
    clone.must(&["push", "--quiet", "dev", "main"]);
    site.tree("dev", "code").must_equal(&sample);
    let back = Clone::with(&site, &tom, "g-large-back", &[]);
    Tree::read(back.folder())
        .without(|path| path.starts_with(b".git"))
        .must_equal(&sample);
}

#[test]
fn roles_decide_who_reads_and_who_pushes() {
    let (site, _) = git_site("g-roles");
    let vera = site.person(Role::Viewer);
    let clone = Clone::new(&site, vera);
    clone.commit("index.php", "<?php echo 'viewer';\n");
    has_remote_sentence(&clone.git(&["push", "dev", "main"]).run().fails());
    has_remote_sentence(&clone.git(&["push", "dev", "main:topic"]).run().fails());
    let sten = site.person(Role::Stranger);
    sten.client("git")
        .args(["ls-remote", &site.url("dev")])
        .run()
        .fails();
    assert_eq!(
        site.tree("dev", "code").content("index.php"),
        Some(&b"<?php echo 'first';\n"[..])
    );
}

#[test]
fn only_branches_and_tags_are_shown() {
    let (site, tom) = git_site("g-refs");
    // Work that is set aside goes to a hidden ref, which stays hidden.
    site.set_mode("sftp");
    site.sftp(
        &tom,
        "dev",
        "mkdir /code/new\nrename /code/index.php /code/new/index.php\n",
    )
    .run()
    .ok();
    site.set_mode("git");
    for environment in ["dev", "test", "live"] {
        let listed = tom
            .client("git")
            .args(["ls-remote", &site.url(environment)])
            .run()
            .ok()
            .out();
        for line in listed.lines() {
            let name = line.split('\t').nth(1).unwrap_or_default();
            let open =
                name == "HEAD" || name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
            assert!(open, "{name} is shown over {environment}");
        }
    }
}

/// Returns the commit that the site's trunk is at.
fn clone_head(site: &Site, person: &Person) -> String {
    let url = site.url("dev");
    let listed = person
        .client("git")
        .args(["ls-remote", &url, "refs/heads/main"])
        .run()
        .ok();
    listed
        .out()
        .split_whitespace()
        .next()
        .expect("main exists")
        .to_owned()
}

/// Requires that the reason stands on the pusher's screen, with the incident's id: in a `remote:`
/// line, or, from before git starts, in one of its own.
#[track_caller]
pub(crate) fn has_remote_sentence(refused: &support::Finished) {
    let screen = refused.err();
    let sentence = screen.lines().any(|line| {
        (line.starts_with("remote: ") || line.starts_with("Refused: "))
            && line.split_whitespace().count() > 5
    });
    assert!(sentence, "no line tells why: {refused}");
    assert!(screen.contains("[incident "), "no incident id: {refused}");
}

/// Names all files of the object database, quarantines included.
pub(crate) fn objects(repository: &Path) -> BTreeSet<Vec<u8>> {
    Tree::read(repository.join("objects"))
        .paths()
        .map(<[u8]>::to_vec)
        .collect()
}

pub(crate) fn git_site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    site.set_mode("git");
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
