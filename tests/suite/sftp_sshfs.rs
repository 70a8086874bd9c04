//! The tree mounted with sshfs: programs that know nothing of SFTP work in it.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use support::{Mount, Person, Role, Shared, Site, Tree, fuse_is_there, tree};

use crate::sftp_uploads::settled;

static SHARED: Shared = Shared::new();

#[test]
fn a_mounted_tree_is_worked_in_like_any_other() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("f-mount");
    let mount = Mount::sshfs(&site, &tom, "dev");
    let sample = Tree::sample()
        .file("new\nline", "two lines\n")
        .link("link", "index.php");
    sample.write(tom.desk("mount").join("up"));
    for area in ["files", "code"] {
        let inside = mount.path(area);
        let on_disk = site.disk("dev", area);
        let copied = inside.join("copied");
        tom.client("cp")
            .arg("-r")
            .arg(tom.desk("mount").join("up"))
            .arg(&copied)
            .run()
            .ok();
        Tree::read(&copied).must_equal(&sample);
        settled(&site, "dev");
        Tree::read(on_disk.join("copied")).must_equal(&sample);

        // As editors save: beside, flushed, then over the old one.
        let page = inside.join("page.php");
        fs::write(&page, "first").unwrap();
        let mut beside = File::create(inside.join(".page.php.swp")).unwrap();
        beside.write_all(b"second").unwrap();
        beside.sync_all().unwrap();
        drop(beside);
        fs::rename(inside.join(".page.php.swp"), &page).unwrap();
        settled(&site, "dev");
        assert_eq!(fs::read(on_disk.join("page.php")).unwrap(), b"second");

        OpenOptions::new()
            .append(true)
            .open(&page)
            .unwrap()
            .write_all(b" and third")
            .unwrap();
        assert_eq!(
            fs::read(on_disk.join("page.php")).unwrap(),
            b"second and third"
        );
        OpenOptions::new()
            .write(true)
            .open(&page)
            .unwrap()
            .set_len(6)
            .unwrap();
        assert_eq!(fs::read(on_disk.join("page.php")).unwrap(), b"second");
        OpenOptions::new()
            .write(true)
            .open(&page)
            .unwrap()
            .set_len(8)
            .unwrap();
        assert_eq!(fs::read(on_disk.join("page.php")).unwrap(), b"second\0\0");
        fs::set_permissions(&page, fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(
            fs::metadata(on_disk.join("page.php")).unwrap().mode() & 0o100,
            0
        );

        symlink("page.php", inside.join("linked.php")).unwrap();
        assert_eq!(
            fs::read_link(on_disk.join("linked.php")).unwrap().to_str(),
            Some("page.php")
        );
        assert_eq!(fs::read(inside.join("linked.php")).unwrap(), b"second\0\0");

        fs::create_dir(inside.join("folder")).unwrap();
        fs::rename(&page, inside.join("folder/page.php")).unwrap();
        assert!(fs::remove_dir(inside.join("folder")).is_err());
        fs::remove_dir_all(inside.join("folder")).unwrap();
        assert!(!on_disk.join("folder").exists());
    }
}

#[test]
fn archives_and_large_files_pass_through_a_mount() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("f-tar");
    let mount = Mount::sshfs(&site, &tom, "dev");
    let desk = tom.desk("tar");
    let sample = Tree::sample();
    sample.write(desk.join("up"));
    tom.client("tar")
        .args(["-cf", "up.tar", "-C", "up", "."])
        .folder(&desk)
        .run()
        .ok();
    let inside = mount.path("files").join("unpacked");
    fs::create_dir(&inside).unwrap();
    tom.client("tar")
        .arg("-xf")
        .arg(desk.join("up.tar"))
        .arg("-C")
        .arg(&inside)
        .run()
        .ok();
    settled(&site, "dev");
    Tree::read(site.disk("dev", "files").join("unpacked")).must_equal(&sample);
    let packed = tom
        .client("tar")
        .args(["-cf", "-", "-C"])
        .arg(&inside)
        .arg(".")
        .run()
        .ok();
    fs::create_dir(desk.join("back")).unwrap();
    tom.client("tar")
        .args(["-xf", "-", "-C", "back"])
        .folder(&desk)
        .input(&packed.stdout)
        .run()
        .ok();
    Tree::read(desk.join("back")).must_equal(&sample);

    let content = tree::noise(41, 16 * 1024 * 1024 + 3);
    fs::write(mount.path("files").join("large"), &content).unwrap();
    assert!(fs::read(mount.path("files").join("large")).unwrap() == content);
    settled(&site, "dev");
    assert!(fs::read(site.disk("dev", "files").join("large")).unwrap() == content);
    tom.client("df").arg(mount.path("files")).run().ok();
}

#[test]
fn what_may_not_be_changed_is_denied_to_programs_too() {
    if !fuse_is_there() {
        return;
    }
    let (site, tom) = site("f-live");
    site.deploy_all();
    let before = site.tree("live", "code");
    let mount = Mount::sshfs(&site, &tom, "live");
    let code = mount.path("code");
    assert!(fs::write(code.join("evil.php"), "evil").is_err());
    assert!(fs::write(code.join("index.php"), "evil").is_err());
    assert!(fs::remove_file(code.join("index.php")).is_err());
    assert!(fs::rename(code.join("index.php"), code.join("evil.php")).is_err());
    assert!(fs::create_dir(code.join("evil")).is_err());
    assert!(symlink("index.php", code.join("evil")).is_err());
    assert!(fs::hard_link(code.join("index.php"), code.join("evil")).is_err());
    assert!(
        fs::set_permissions(code.join("index.php"), fs::Permissions::from_mode(0o777)).is_err()
    );
    site.tree("live", "code").must_equal(&before);
    assert_eq!(
        fs::read(code.join("index.php")).unwrap(),
        b"<?php echo 'first';\n"
    );
    fs::write(mount.path("files").join("photo.jpg"), "a photo").unwrap();
    settled(&site, "live");
    assert_eq!(
        site.tree("live", "files").content("photo.jpg"),
        Some(&b"a photo"[..])
    );
}

fn site(name: &str) -> (Site, Person) {
    let site = SHARED.gateway().site(name);
    let tom = site.person(Role::TeamMember).clone();
    (site, tom)
}
