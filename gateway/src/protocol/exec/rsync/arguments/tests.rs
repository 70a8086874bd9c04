//! The closed list, from both sides.

use super::*;
use crate::protocol::exec::words::split;

fn parse(line: &str) -> Result<Arguments, Unwanted> {
    Arguments::parse(&split(line.as_bytes()).unwrap())
}

fn options(line: &str) -> Vec<String> {
    let arguments = parse(line).unwrap();
    arguments
        .options
        .iter()
        .map(|option| String::from_utf8_lossy(option).into_owned())
        .collect()
}

#[test]
fn what_clients_send_is_understood() {
    let pantheon = parse("--server -vrze.iLsfxCIvu --size-only . /code/").unwrap();
    assert!(!pantheon.sends && !pantheon.deletes && !pantheon.links);
    let mirror = parse("--server -logDtpre.iLsfxCIvu --delete --delay-updates . /code").unwrap();
    assert!(mirror.deletes && mirror.links && mirror.delays);
    assert_eq!(mirror.paths.len(), 1);
    let download =
        parse("--server --sender -vlrcze.iLsfxCIvu --copy-unsafe-links . '/code/*.php' /code/b")
            .unwrap();
    assert!(download.sends && download.paths.len() == 2);
    assert!(parse("--server -slogDtpre.iLsfxCIvu").unwrap().secluded);
}

#[test]
fn where_unfinished_files_lie_is_ours_to_say() {
    assert_eq!(
        options(
            "--server -logDtpre.iLsfxCIvu --log-format=X --partial --temp-dir ~/tmp \
             --partial-dir .p . /code/"
        ),
        ["--server", "-logDtpre.iLsfxCIvu", "--log-format=X"]
    );
}

#[test]
fn nothing_dangerous_and_nothing_unknown_passes() {
    for line in [
        "--daemon --config=/etc/passwd .",
        "--server --daemon --config=/x .",
        "--server --log-file=/etc/x -re.iLsfxCIvu . /code",
        "--server --log-file /etc/x -re.iLsfxCIvu . /code",
        "--server -re.iLs --link-dest /etc . /code",
        "--server -re.iLs --backup-dir=/etc . /code",
        "--server -bre.iLs . /code",
        "--server -Kre.iLs . /code",
        "--server -XAre.iLs . /code",
        "--server -re.iLs --inplace . /code",
        "--server -re.iLs --append . /code",
        "--server -re.iLs --write-devices . /code",
        "--server --sender -re.iLs --files-from /etc/passwd . /code",
        "--server --sender -re.iLs --files-from=/etc/passwd . /code",
        "--server --sender -re.iLs --remove-source-files . /code",
        "--server -re.iLs --fake-super . /code",
        "--server -re.iLs --rsync-path=/bin/sh . /code",
        "--server -re.iLs --unheard-of . /code",
        "--server -Te.iLs . /code",
        "--server --exclude-from=/etc/passwd . /code",
        "--server --filter=merge,/etc/passwd . /code",
        "--server --usermap=*:root -re.iLs . /code",
        "--server /code",
        "-a /etc /tmp",
        "",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}
