use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::site::files::{Archive, pack};

fn scene(folder: &Path, wrapping: &str) {
    let source = folder.join("source").join(wrapping);
    fs::create_dir_all(source.join("2024/01")).unwrap();
    fs::write(source.join("2024/01/photo.jpg"), vec![7; 100_000]).unwrap();
    fs::write(source.join("2024/empty"), "").unwrap();
    fs::write(source.join("Grüße.txt"), "hello").unwrap();
    fs::write(source.join(format!("2024/{}", "long".repeat(60))), "x").unwrap();
    symlink("../Grüße.txt", source.join("2024/link")).unwrap();
    fs::hard_link(source.join("Grüße.txt"), source.join("second")).unwrap();
    let program = source.join("program");
    fs::write(&program, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o6755)).unwrap();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::open(source.join("2024/01/photo.jpg"))
        .unwrap()
        .set_modified(old)
        .unwrap();
    File::open(source.join("2024/01"))
        .unwrap()
        .set_modified(old)
        .unwrap();
}

fn check(target: &Path) {
    let about = fs::metadata(target.join("2024/01/photo.jpg")).unwrap();
    assert_eq!((about.len(), about.mtime()), (100_000, 1_000_000_000));
    assert_eq!(
        fs::metadata(target.join("2024/01")).unwrap().mtime(),
        1_000_000_000
    );
    assert_eq!(fs::read(target.join("2024/link")).unwrap(), b"hello");
    assert!(
        fs::symlink_metadata(target.join("2024/link"))
            .unwrap()
            .is_symlink()
    );
    let second = fs::metadata(target.join("second")).unwrap();
    assert_eq!((second.len(), second.nlink()), (5, 1));
    let program = fs::metadata(target.join("program")).unwrap();
    assert_eq!(program.mode() & 0o7777, 0o755);
    assert!(target.join("2024").join("long".repeat(60)).exists());
    assert_eq!(fs::read_dir(target).unwrap().count(), 4);
}

#[test]
fn archives_of_real_programs_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "");
    let tars: [&[&str]; 7] = [
        &["tar", "-C", "source", "-cf", "a", "."],
        &["tar", "-C", "source", "-czf", "a", "--format=pax", "."],
        &["tar", "-C", "source", "-cf", "a", "--zstd", "."],
        &["tar", "-C", "source", "-cJf", "a", "--format=gnu", "."],
        &[
            "tar",
            "-C",
            "source",
            "-cf",
            "a",
            "--format=pax",
            "2024",
            "program",
            "second",
            "Grüße.txt",
        ],
        &[
            "python3",
            "-c",
            "import tarfile; t = tarfile.open('a', 'w:gz'); t.add('source', '.'); t.close()",
        ],
        &[
            "sh",
            "-c",
            "cd source && rm -f ../a && zip -q -r -y ../a.zip . && mv ../a.zip ../a",
        ],
    ];
    for words in tars {
        run(folder.path(), words);
        let target = folder.path().join("target");
        let copied = unpack_both(&folder.path().join("a"), &target).unwrap();
        assert_eq!((copied.files, copied.copied), (7, 7), "{words:?}");
        check(&target);
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn one_wrapping_folder_is_left_out() {
    for (wrapping, left_out) in [
        ("files", true),
        ("files_dev", true),
        ("uploads", true),
        ("2024", false),
        ("files/uploads", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        scene(folder.path(), wrapping);
        run(folder.path(), &["tar", "-C", "source", "-czf", "a", "."]);
        let target = folder.path().join("target");
        unpack_both(&folder.path().join("a"), &target).unwrap();
        if left_out {
            check(&target);
        } else {
            check(&target.join(wrapping.strip_prefix("files/").unwrap_or(wrapping)));
        }
    }
    // Beside another it is a folder like any.
    let folder = tempfile::tempdir().unwrap();
    let archive = python(folder.path(), "tar(entry('files/a'), entry('b'))");
    let target = folder.path().join("target");
    unpack_both(&archive, &target).unwrap();
    assert!(target.join("files/a").exists());
}

#[test]
fn what_is_packed_is_unpacked_the_same() {
    let folder = tempfile::tempdir().unwrap();
    scene(folder.path(), "");
    let source = folder.path().join("source");
    // A folder of that name in it is no wrapping one.
    fs::write(source.join(OsStr::from_bytes(b"\xff\xfe")), "odd").unwrap();
    for (form, test) in [
        (Archive::Tar, "-tf"),
        (Archive::TarGz, "-tzf"),
        (Archive::TarZst, "--zstd -tf"),
    ] {
        let mut out = Vec::new();
        let packed = pack(&source, &mut out, form, &Quiet).unwrap();
        assert_eq!(packed.files, 8);
        fs::write(folder.path().join("a"), &out).unwrap();
        let command = format!("tar {test} a | grep -q files/2024/01/photo.jpg");
        run(folder.path(), &["sh", "-c", &command]);
        let target = folder.path().join("target");
        let unpacked = unpack_both(&folder.path().join("a"), &target).unwrap();
        assert_eq!((unpacked.files, unpacked.bytes), (8, packed.bytes));
        fs::remove_file(target.join(OsStr::from_bytes(b"\xff\xfe"))).unwrap();
        check(&target);
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn a_folder_of_uploads_survives_export_and_import() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    fs::create_dir_all(source.join("uploads")).unwrap();
    fs::write(source.join("uploads/a"), "a").unwrap();
    let mut out = Vec::new();
    pack(&source, &mut out, Archive::TarZst, &Quiet).unwrap();
    fs::write(folder.path().join("a"), &out).unwrap();
    let target = folder.path().join("target");
    unpack_both(&folder.path().join("a"), &target).unwrap();
    assert!(target.join("uploads/a").exists());
}

#[test]
fn sparse_files_of_each_form_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let sparse = File::create(folder.path().join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    for at in 0..40_u64 {
        sparse
            .write_all_at(&[at as u8 + 1; 5000], at << 20)
            .unwrap();
    }
    let wanted = fs::read(folder.path().join("sparse")).unwrap();
    for format in [
        "gnu",
        "pax --sparse-version=1.0",
        "pax --sparse-version=0.1",
        "pax --sparse-version=0.0",
    ] {
        let command =
            format!("tar -cSf a --format={format} sparse && test $(stat -c %s a) -lt 1000000");
        run(folder.path(), &["sh", "-c", &command]);
        let target = folder.path().join("target");
        let unpacked = unpack_both(&folder.path().join("a"), &target);
        if format.ends_with("0.0") {
            assert!(matches!(unpacked, Err(Trouble::Refused(said)) if said.contains("sparse")));
        } else {
            unpacked.unwrap();
            assert!(
                fs::read(target.join("sparse")).unwrap() == wanted,
                "{format}"
            );
            let blocks = fs::metadata(target.join("sparse")).unwrap().blocks();
            assert!(blocks < 10_000, "{format}: {blocks}");
        }
        fs::remove_dir_all(&target).unwrap();
    }
}

#[test]
fn zips_of_windows_and_large_ones_are_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("target");
    // Backslashes, and no rights.
    let archive = python(
        folder.path(),
        "z = zipfile.ZipFile('archive', 'w')\n\
         i = zipfile.ZipInfo('x'); i.filename = 'a\\\\b.txt'; i.create_system = 0; i.external_attr = 0\n\
         z.writestr(i, 'hello')\nz.close()",
    );
    unpack_both(&archive, &target).unwrap();
    let about = fs::metadata(target.join("a/b.txt")).unwrap();
    assert_eq!((about.len(), about.mode() & 0o777), (5, 0o644));
    fs::remove_dir_all(&target).unwrap();
    // More entries than two bytes can count: zip64.
    let archive = python(
        folder.path(),
        "z = zipfile.ZipFile('archive', 'w')\nfor n in range(66000): z.writestr(f'{n // 1000}/{n}', '')\n\
         i = zipfile.ZipInfo('large'); o = z.open(i, 'w', force_zip64=True); o.write(b'x' * 1000); o.close()\n\
         z.close()",
    );
    let mut stream = File::open(archive).unwrap();
    let copied = crate::site::files::unpack(&mut stream, &target, &room(), &Quiet).unwrap();
    assert_eq!(copied.files, 66_001);
    assert_eq!(fs::metadata(target.join("large")).unwrap().len(), 1000);
    fs::remove_dir_all(&target).unwrap();
    // Streamed, so that lengths come after the content.
    let archive = python(
        folder.path(),
        "class Stream(io.RawIOBase):\n    def writable(self): return True\n    def write(self, b): out.write(b); return len(b)\n\
         out = open('archive', 'wb')\nz = zipfile.ZipFile(Stream(), 'w', zipfile.ZIP_DEFLATED)\n\
         z.writestr('file', 'streamed')\nz.close()\nout.close()\nopen('file', 'w').write('x')",
    );
    unpack_both(&archive, &target).unwrap();
    assert_eq!(fs::read(target.join("file")).unwrap(), b"streamed");
    fs::remove_dir_all(&target).unwrap();
    run(
        folder.path(),
        &["zip", "-q", "-P", "secret", "locked.zip", "file"],
    );
    let said = refused(folder.path(), &folder.path().join("locked.zip"));
    assert!(said.contains("'file' is encrypted"), "{said}");
}

#[test]
fn the_last_of_two_files_of_one_name_counts() {
    let folder = tempfile::tempdir().unwrap();
    let archive = python(
        folder.path(),
        "tar(entry('a', content=b'old'), entry('a', content=b'newer'), entry('l', LINK, link='a'), \
         entry('l', LINK, link='b'))",
    );
    let target = folder.path().join("target");
    let copied = unpack_both(&archive, &target).unwrap();
    assert_eq!((copied.files, copied.bytes), (2, 6));
    assert_eq!(fs::read(target.join("a")).unwrap(), b"newer");
    assert_eq!(fs::read_link(target.join("l")).unwrap(), Path::new("b"));
}
