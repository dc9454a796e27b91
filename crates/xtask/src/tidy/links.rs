//! Links in documents lead somewhere. Only links to files of the repository are looked at: whether the rest
//! of the world answers is no property of a commit.

use std::path::{Component, Path, PathBuf};

use super::Finding;
use super::tree::{File, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.with_ending("md").chain(tree.with_ending("mdx")).flat_map(|file| check_file(file, tree)).collect()
}

fn check_file(file: &File, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut is_code = false;
    for (number, line) in file.lines() {
        is_code ^= line.trim_start().starts_with("```");
        for target in targets(line).filter(|_| !is_code) {
            if !resolve(&file.path, target).is_some_and(|path| tree.has(&path)) {
                let what = format!("the link to {target} leads nowhere");
                findings.push(Finding::new(
                    &file.path,
                    number,
                    what,
                    "Correct the path, or write what it should lead to.",
                ));
            }
        }
    }
    findings
}

/// Targets of `[text](target)` that are files, without their anchors.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let after = line.split("](").skip(1);
    let target = after.filter_map(|rest| rest.split([')', ' ']).next());
    let is_file = |target: &&str| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:");
    target.filter_map(|target| target.split('#').next()).filter(is_file)
}

/// The path from the root, unless it leaves the repository.
fn resolve(document: &str, target: &str) -> Option<String> {
    let mut path = Path::new(document).parent()?.to_path_buf();
    for component in Path::new(target).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir => {}
            Component::ParentDir => path = path.pop().then_some(path)?,
            Component::RootDir => path = PathBuf::new(),
            Component::Prefix(_) => return None,
        }
    }
    Some(path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::tree::tree_of;

    fn count(text: &str) -> usize {
        check(&tree_of(&[("docs/sub/a.md", text), ("docs/b.md", ""), ("LICENSE", "")]).1).len()
    }

    #[test]
    fn a_link_leads_to_a_file_from_where_it_stands() {
        assert_eq!(count("[b](../b.md) and [b](../b.md#there), [licence](../../LICENSE), [folder](..)\n"), 0);
        assert_eq!(count("[b](b.md)\n"), 1);
        assert_eq!(count("[b](../b.md) [c](../c.md)\n"), 1);
        assert_eq!(count("[out](../../../b.md)\n"), 1);
    }

    #[test]
    fn what_is_elsewhere_or_code_is_not_judged() {
        assert_eq!(count("[x](https://host.example/x) [y](#anchor) [z](mailto:a@host.example)\n"), 0);
        assert_eq!(count("```\n[b](b.md)\n```\n"), 0);
    }
}
