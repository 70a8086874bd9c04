//! Random changes, with git as the judge of what they are.

use super::*;

#[test]
fn git_sees_the_same_changes() {
    let files: Vec<(String, String)> = (0..60)
        .map(|number| {
            (
                format!("{}/{}/f{number}", number % 3, number % 5),
                "1\n2\n3\n4\n".repeat(number % 4),
            )
        })
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let mut site = Site::new(&files);
    let mut random = 7_u64;
    let mut pick = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % below
    };
    for round in 0..40 {
        for _ in 0..8 {
            let number = pick(70);
            let place = site
                .code
                .join(format!("{}/{}/f{number}", number % 3, number % 5));
            let folder = place.parent().unwrap().to_path_buf();
            let _ = match pick(9) {
                0 => fs::remove_file(&place),
                1 => fs::remove_dir_all(&folder),
                2 => fs::remove_file(&place).and_then(|()| symlink("1", &place)),
                3 => fs::remove_file(&place).and_then(|()| fs::create_dir(&place)),
                4 => fs::write(place.join("below"), format!("{round}\n")),
                5 => fs::set_permissions(&place, fs::Permissions::from_mode(0o755)),
                6 => fs::write(folder.join(".gitignore"), format!("f{}\n", pick(60))),
                7 => fs::remove_dir_all(&folder).and_then(|()| fs::write(&folder, "file\n")),
                _write => fs::create_dir_all(&folder)
                    .and_then(|()| fs::write(&place, "1\n2\nx\n4\n".repeat(pick(5)))),
            };
        }
        let uploads = site.code.join("wp-content/uploads");
        let _ = fs::remove_file(&uploads);
        let by_git = git_changes(&site.repository, site.commit, &site.code);
        let ours = site.work().diffstat().unwrap();
        let (names, numbers) = by_git.split_at(by_git.len() / 2);
        let names_of_ours: Vec<String> = site
            .changes()
            .iter()
            .map(|line| line.replace(' ', "\t"))
            .collect();
        for ((name, number), our) in names.iter().zip(numbers).zip(&names_of_ours) {
            let (status, path) = name.split_once('\t').unwrap();
            let (counts, _) = number.split_at(number.len() - path.len());
            assert_eq!(format!("{status}\t{counts}{path}"), *our, "round {round}");
        }
        assert_eq!(
            names.len(),
            ours.len(),
            "round {round}: {by_git:?} {ours:?}"
        );
        if round % 4 == 3
            && let Some(committed) = site.commit(None).unwrap()
        {
            site.commit = committed.commit;
            assert_eq!(site.changes(), [""; 0]);
            assert_eq!(
                git_changes(&site.repository, site.commit, &site.code),
                [""; 0]
            );
        } else if round % 4 == 1
            && let Some(saved) = site.discard(None).unwrap()
        {
            assert_eq!(site.changes(), [""; 0]);
            assert_eq!(
                git_changes(&site.repository, site.commit, &site.code),
                [""; 0]
            );
            site.restore(&saved.id).unwrap();
            assert_eq!(site.work().diffstat().unwrap(), ours);
        }
    }
    git(
        site.repository.path(),
        &["fsck", "--strict", "--no-dangling"],
    );
}
