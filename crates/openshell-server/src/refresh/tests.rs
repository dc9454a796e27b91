//! What a node notes of its own mints.

use super::*;

fn wanted() -> Wanted {
    Wanted { workspace: "w".to_owned(), provider: "p".to_owned(), credential_key: "KEY".to_owned() }
}

#[tokio::test]
async fn a_mint_is_begun_once_and_again_when_it_is_over_or_broke_down() {
    let refresher = Refresher::new();
    let first = refresher.begin(wanted()).expect("nobody mints it");
    assert!(refresher.begin(wanted()).is_none());
    drop(first);
    let second = refresher.begin(wanted()).expect("it is over");
    let broken = tokio::spawn(async move {
        let _second = second;
        panic!("it breaks down on purpose");
    });
    assert!(broken.await.expect_err("it broke down").is_panic());
    assert!(refresher.begin(wanted()).is_some());
}
