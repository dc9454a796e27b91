//! The licence: its text is there, and every manifest takes it from the workspace.

use super::Finding;
use super::tree::Tree;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_apache = |text: &str| text.contains("Apache License") && text.contains("Version 2.0");
    if !tree.file("LICENSE").is_some_and(|file| is_apache(&file.text)) {
        findings.push(Finding::new("LICENSE", 1, "there is no Apache License 2.0", "Put its text in LICENSE."));
    }
    let manifests = tree.with_ending("toml").filter(|file| file.path.ends_with("/Cargo.toml"));
    for manifest in manifests.filter(|file| !file.text.contains("license.workspace = true")) {
        let advice = "Say `license.workspace = true` in [package].";
        findings.push(Finding::new(&manifest.path, 1, "the manifest names no licence", advice));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::tree::tree_of;

    #[test]
    fn the_licence_and_its_mentions_must_be_there() {
        let text = ("LICENSE", "Apache License\nVersion 2.0, January 2004\n");
        let manifest = ("crates/a/Cargo.toml", "license.workspace = true\n");
        assert!(check(&tree_of(&[text, manifest]).1).is_empty());
        assert_eq!(check(&tree_of(&[manifest]).1).len(), 1);
        assert_eq!(check(&tree_of(&[("LICENSE", "mine"), manifest]).1).len(), 1);
        assert_eq!(check(&tree_of(&[text, ("crates/a/Cargo.toml", "")]).1).len(), 1);
    }
}
