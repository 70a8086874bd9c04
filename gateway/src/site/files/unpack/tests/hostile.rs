use super::*;
use crate::site::files::{Limits, Usage};

/// Each program makes an archive; each refusal must name what is in the second.
const TRICKS: [(&str, &str); 24] = [
    ("tar(entry('ok'), entry('../evil'))", "../evil"),
    ("tar(entry('a/../../evil'))", "a/../../evil"),
    ("tar(entry('/evil'))", "/evil"),
    ("tar(entry('..', DIR))", "'..'"),
    ("tar(entry('up', LINK, link='..'))", "'up'"),
    (
        "tar(entry('a/b/up', LINK, link='../../../evil'))",
        "'a/b/up'",
    ),
    ("tar(entry('abs', LINK, link='/etc/passwd'))", "'abs'"),
    (
        "tar(entry('a', DIR), entry('twisted', LINK, link='a/../../evil'))",
        "'twisted'",
    ),
    // Each link alone stays within; together they would not.
    (
        "tar(entry('a/b/c', DIR), entry('one', LINK, link='a/b'), entry('two', LINK, link='one/../../../evil'))",
        "'two'",
    ),
    (
        "tar(entry('link', LINK, link='elsewhere'), entry('link/evil'))",
        "'link/evil'",
    ),
    (
        "tar(entry('elsewhere', DIR), entry('link', LINK, link='elsewhere'), entry('link/evil'))",
        "'link/evil'",
    ),
    (
        "tar(entry('link', LINK, link='elsewhere'), entry('link'))",
        "'link'",
    ),
    (
        "tar(entry('link', LINK, link='elsewhere'), entry('link', DIR))",
        "'link'",
    ),
    ("tar(entry('same'), entry('same', DIR))", "'same'"),
    ("tar(entry('same', DIR), entry('same'))", "'same'"),
    ("tar(entry('file'), entry('file/evil'))", "'file/evil'"),
    ("tar(entry('hard', HARD, link='/etc/passwd'))", "'hard'"),
    (
        "tar(entry('hard', HARD, link='../../secret'))",
        "../../secret",
    ),
    (
        "tar(entry('s', LINK, link='x'), entry('hard', HARD, link='s'))",
        "'hard'",
    ),
    ("tar(entry('dev', tarfile.CHRTYPE))", "'dev'"),
    ("tar(entry('dev', tarfile.BLKTYPE))", "'dev'"),
    ("tar(entry('pipe', tarfile.FIFOTYPE))", "'pipe'"),
    ("tar(entry('n' * 256))", "nnn"),
    // In a folder that would be left out, so that the link would lead one folder further up.
    (
        "tar(entry('files/a', LINK, link='../b'), entry('files/c'))",
        "'files/a'",
    ),
];

#[test]
fn each_trick_of_tar_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    for format in ["GNU", "PAX"] {
        let programs = TRICKS.map(|(program, _)| {
            let open = program.strip_suffix(')').unwrap();
            format!("{open}, format=tarfile.{format}_FORMAT)")
        });
        let archives = pythons(folder.path(), &programs);
        for ((program, named), archive) in TRICKS.iter().zip(&archives) {
            let said = refused(folder.path(), archive);
            assert!(said.contains(named), "{program}: {said}");
            assert!(!folder.path().join("evil").exists(), "{program}");
        }
    }
}

#[test]
fn each_trick_of_zip_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let open = "z = zipfile.ZipFile('archive', 'w', zipfile.ZIP_DEFLATED)\n";
    let link = "def link(name, to):\n    i = zipfile.ZipInfo(name); i.create_system = 3; \
                i.external_attr = 0o120777 << 16; z.writestr(i, to)\n";
    let tricks = [
        ("z.writestr('../evil', 'x')", "../evil"),
        ("z.writestr('a/../../evil', 'x')", "evil"),
        ("z.writestr('/evil', 'x')", "/evil"),
        ("z.writestr('..\\\\evil', 'x')", "evil"),
        ("z.writestr('C:/evil', 'x')", "C:/evil"),
        ("z.writestr('C:\\\\evil', 'x')", "evil"),
        ("link('up', '../evil')", "'up'"),
        ("link('abs', '/etc/passwd')", "'abs'"),
        (
            "link('link', 'elsewhere'); z.writestr('link/evil', 'x')",
            "link/evil",
        ),
        ("z.writestr('same', 'x'); z.writestr('same/', '')", "'same'"),
        ("z.writestr('same/', ''); z.writestr('same', 'x')", "'same'"),
        (
            "z.writestr('same', 'x'); z.writestr('same/evil', 'x')",
            "same/evil",
        ),
        (
            "i = zipfile.ZipInfo('pipe'); i.create_system = 3; i.external_attr = 0o010644 << 16; \
             z.writestr(i, '')",
            "'pipe'",
        ),
        ("z.writestr('n' * 256, 'x')", "nnn"),
        (
            "z.writestr(zipfile.ZipInfo('b'), 'x', zipfile.ZIP_BZIP2)",
            "method 12",
        ),
    ];
    let programs = tricks.map(|(program, _)| format!("{open}{link}{program}\nz.close()"));
    let archives = pythons(folder.path(), &programs);
    for ((program, named), archive) in tricks.iter().zip(&archives) {
        let said = refused(folder.path(), archive);
        assert!(said.contains(named), "{program}: {said}");
        assert!(!folder.path().join("evil").exists(), "{program}");
    }
}

#[test]
fn a_zip_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let make = "\
z = zipfile.ZipFile('archive', 'w', zipfile.ZIP_DEFLATED)
z.writestr('one', 'x' * 100000)
z.writestr('two', 'y' * 100000)
z.close()
b = bytearray(open('archive', 'rb').read())
central = b.index(b'PK\\x01\\x02')
second = b.index(b'PK\\x01\\x02', central + 4)
";
    let lies = [
        // Both entries of the list lead to the same content.
        (
            "b[second+42:second+46] = b[central+42:central+46]; b[second+46:second+49] = b'one'; b[second+16:second+28] = b[central+16:central+28]",
            "share",
        ),
        ("b[second+42:second+46] = struct.pack('<I', 0)", "two names"),
        (
            "b[central+24:central+28] = struct.pack('<I', 10)",
            "longer than it says",
        ),
        (
            "b[central+24:central+28] = struct.pack('<I', 200000)",
            "cut off",
        ),
        (
            "b[central+16:central+20] = struct.pack('<I', 1)",
            "checksum",
        ),
        ("b[central+8] |= 1", "encrypted"),
        (
            "b[central+42:central+46] = struct.pack('<I', 7)",
            "no content",
        ),
        (
            "b[central+20:central+24] = struct.pack('<I', 2**31)",
            "outside",
        ),
        ("b = b[:-30]", "cut off"),
        ("b = b[:len(b)//2]", "cut off"),
        ("b = b[100:]", "damaged"),
    ];
    let programs = lies.map(|(lie, _)| format!("{make}{lie}\nopen('archive', 'wb').write(b)"));
    let archives = pythons(folder.path(), &programs);
    for ((program, says), archive) in lies.iter().zip(&archives) {
        // What lost its beginning is no zip by its first bytes.
        let said = match program.contains("b[100:]") {
            true => match zip::unpack(
                File::open(archive).unwrap(),
                &mut Placing::new(&folder.path().join("t"), &room(), &Quiet).unwrap(),
            ) {
                Err(Trouble::Refused(said)) => said,
                other => panic!("{other:?}"),
            },
            false => refused(folder.path(), archive),
        };
        assert!(said.contains(says), "{program}: {said}");
    }
}

#[test]
fn archives_that_are_cut_off_or_damaged_say_where() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let whole = python(
        folder.path(),
        "tar(entry('a', content=os.urandom(3000)), entry('b/c', content=os.urandom(3000)))",
    );
    let whole = fs::read(whole).unwrap();
    // Between entries, in a header, in content, in its last block.
    for cut in [0, 100, 512, 1000, 512 + 3072, 512 + 3072 + 200, 7167, 7168] {
        fs::write(at("cut"), &whole[..cut]).unwrap();
        let said = refused(folder.path(), &at("cut"));
        assert!(
            said.contains("cut off") || (cut == 0 && said.contains("empty")),
            "{cut}: {said}"
        );
    }
    fs::write(at("whole"), &whole).unwrap();
    for (tool, ending) in [("gzip", "gz"), ("zstd", "zst"), ("xz", "xz")] {
        run(folder.path(), &[tool, "-k", "-f", "whole"]);
        let packed = fs::read(at(&format!("whole.{ending}"))).unwrap();
        for cut in [packed.len() / 2, packed.len() - 1] {
            fs::write(at("cut"), &packed[..cut]).unwrap();
            let said = refused(folder.path(), &at("cut"));
            assert!(said.contains("cut off"), "{tool} {cut}: {said}");
        }
    }
    let mut damaged = whole.clone();
    damaged[512 + 3072] = b'!';
    fs::write(at("damaged"), &damaged).unwrap();
    assert!(refused(folder.path(), &at("damaged")).contains("byte 4096"));
    for content in [&b"hello world"[..], &[0x42; 5000], b"BZh91AY&SY", &[0; 0]] {
        fs::write(at("none"), content).unwrap();
        refused(folder.path(), &at("none"));
    }
}

#[test]
fn bombs_are_bounded_by_quota_and_not_by_ratio() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let limits =
        |bytes, files| Room::new(Limits { bytes, files }, Usage::default()).leaving_free(0);
    let unpacked = |archive: &Path, room: &Room| {
        let _ = fs::remove_dir_all(at("target"));
        crate::site::files::unpack(
            &mut File::open(archive).unwrap(),
            &at("target"),
            room,
            &Quiet,
        )
    };
    let too_much = |archive: &Path, room: Room| match unpacked(archive, &room) {
        Err(Trouble::Refused(said)) => assert!(said.contains("quota"), "{said}"),
        other => panic!("{other:?}"),
    };
    File::create(at("zeros"))
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    run(folder.path(), &["tar", "-czf", "bomb.tar.gz", "zeros"]);
    run(
        folder.path(),
        &["tar", "--zstd", "-cf", "bomb.tar.zst", "zeros"],
    );
    run(folder.path(), &["tar", "-cJf", "bomb.tar.xz", "zeros"]);
    run(folder.path(), &["tar", "-cSf", "bomb.tar", "zeros"]);
    run(
        folder.path(),
        &["tar", "-cSf", "bomb-pax.tar", "--format=pax", "zeros"],
    );
    run(folder.path(), &["zip", "-q", "bomb.zip", "zeros"]);
    for name in [
        "bomb.tar.gz",
        "bomb.tar.zst",
        "bomb.tar.xz",
        "bomb.tar",
        "bomb-pax.tar",
        "bomb.zip",
    ] {
        too_much(&at(name), limits(Some(199 << 20), None));
        // A thousand to one is no error of its own.
        unpacked(&at(name), &limits(Some(201 << 20), Some(1))).unwrap();
    }
    let many = python(folder.path(), "tar(*[entry(f'{n}') for n in range(50)])");
    too_much(&many, limits(None, Some(49)));
    unpacked(&many, &limits(None, Some(50))).unwrap();
    let deep = python(folder.path(), "tar(entry('a/' * 50 + 'b'))");
    too_much(&deep, limits(None, Some(50)));
    let copies = python(
        folder.path(),
        "tar(entry('a', content=b'x' * 1000), *[entry(f'{n}', HARD, link='a') for n in range(50)])",
    );
    too_much(&copies, limits(Some(50_000), None));
    // What an archive says of itself takes no memory.
    let lies = python(
        folder.path(),
        "one, _ = entry('././@LongLink', tarfile.GNUTYPE_LONGNAME)\none.size = 2**33\n\
         open('archive', 'wb').write(one.tobuf(tarfile.GNU_FORMAT) + bytes(10000))",
    );
    assert!(refused(folder.path(), &lies).contains("mebibyte"));
    let lies = python(
        folder.path(),
        "one, _ = entry('sparse', tarfile.GNUTYPE_SPARSE)\none.size = 2**60\n\
         open('archive', 'wb').write(one.tobuf(tarfile.GNU_FORMAT) + bytes(10240))",
    );
    refused(folder.path(), &lies);
}
