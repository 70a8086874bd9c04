//! What holds for every path, whatever its bytes.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use policy::SitePath;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn paths_never_climb_and_are_normal(bytes in path_bytes()) {
        if let Ok(path) = SitePath::normalize(&bytes) {
            for part in path.components() {
                prop_assert!(part != b".." && part != b"." && !part.is_empty());
                prop_assert!(!part.contains(&0) && part.len() <= 255);
            }
            prop_assert!(!path.as_bytes().starts_with(b"/") && !path.as_bytes().ends_with(b"/"));
            prop_assert_eq!(SitePath::normalize(path.as_bytes()), Ok(path.clone()));
            let mut absolute = b"/".to_vec();
            absolute.extend_from_slice(path.as_bytes());
            prop_assert_eq!(SitePath::normalize(&absolute), Ok(path));
        }
    }

    #[test]
    fn paths_split_and_join_without_loss(bytes in path_bytes(), below in path_bytes()) {
        if let (Ok(path), Ok(below)) = (SitePath::normalize(&bytes), SitePath::normalize(&below)) {
            let joined = path.join(&below);
            prop_assert!(joined.starts_with(&path));
            prop_assert_eq!(joined.strip_prefix(&path), Some(below));
            if let Some((parent, last)) = path.split_last() {
                let last = SitePath::normalize(last).unwrap();
                prop_assert_eq!(parent.join(&last), path.clone());
            }
            if let Some((first, rest)) = path.split_first() {
                prop_assert_eq!(SitePath::normalize(first).unwrap().join(&rest), path.clone());
            }
        }
    }
}

fn path_bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        3 => select(vec!["..", ".", "", "/", "a", "...", ".. ", "..\\", ".git"]).prop_map(|part| part.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.join(&b'/'))
}
