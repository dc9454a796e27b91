//! The registered gateways as rows and as a document. Pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::Registered;
use crate::output::{Paint, table};

/// One row for each, the active one marked; the remote column only where some gateway has one.
pub(crate) fn rows(all: &BTreeMap<String, Registered>, active: Option<&str>, paint: Paint) -> String {
    let has_remote = all.values().any(|entry| entry.metadata.remote().is_some());
    let row = |(name, entry): (&String, &Registered)| {
        let metadata = &entry.metadata;
        let marker = if active == Some(name) { "* " } else { "  " };
        let mut cells = vec![
            format!("{marker}{name}"),
            metadata.endpoints(),
            metadata.kind().to_owned(),
            entry.source.as_str().to_owned(),
            metadata.auth().to_owned(),
        ];
        if has_remote {
            cells.push(metadata.remote().unwrap_or_else(|| "-".to_owned()));
        }
        cells
    };
    let mut headers = vec!["  NAME", "ENDPOINT", "TYPE", "SOURCE", "AUTH"];
    headers.extend(has_remote.then_some("REMOTE"));
    let text = table(&headers, &all.iter().map(row).collect::<Vec<_>>(), "", paint);
    text.lines()
        .map(|line| if line.starts_with("* ") { paint.green(line) + "\n" } else { line.to_owned() + "\n" })
        .collect()
}

/// The same with every key, unset ones as null.
pub(crate) fn document(all: &BTreeMap<String, Registered>, active: Option<&str>) -> Value {
    let item = |(name, entry): (&String, &Registered)| {
        let metadata = &entry.metadata;
        json!({
            "active": active == Some(name),
            "auth": metadata.auth(),
            "endpoint": metadata.endpoints(),
            "is_remote": metadata.is_remote,
            "name": name,
            "remote_host": metadata.remote_host,
            "resolved_host": metadata.resolved_host,
            "source": entry.source.as_str(),
            "type": metadata.kind(),
        })
    };
    all.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::{document, rows};
    use crate::config::{Metadata, Registered, Source};
    use crate::output::Paint;
    use std::collections::BTreeMap;

    fn all() -> BTreeMap<String, Registered> {
        let entry = |name: &str, endpoint: &str, remote_host: Option<&str>| {
            let metadata = Metadata {
                name: name.into(),
                gateway_endpoint: endpoint.into(),
                is_remote: remote_host.is_some(),
                remote_host: remote_host.map(str::to_owned),
                ..Metadata::default()
            };
            (name.to_owned(), Registered { metadata, source: Source::User })
        };
        [entry("a", "http://127.0.0.1:1", None), entry("far", "https://h:1", Some("me@h"))].into()
    }

    #[test]
    fn the_active_gateway_is_marked_and_remotes_have_a_column() {
        assert_eq!(
            rows(&all(), Some("a"), Paint::plain()),
            "  NAME  ENDPOINT            TYPE    SOURCE  AUTH       REMOTE\n\
             * a     http://127.0.0.1:1  local   user    plaintext  -\n  \
             far   https://h:1         remote  user    mtls       me@h\n"
        );
        assert!(rows(&all(), Some("a"), Paint::colourful()).contains("\x1b[32m* a"));
    }

    #[test]
    fn cli_scenario_8_documents_have_nine_keys_and_one_active_item() {
        let document = document(&all(), Some("far"));
        let items = document.as_array().expect("a list");
        assert!(items.iter().all(|item| item.as_object().is_some_and(|item| item.len() == 9)));
        assert_eq!(items.iter().filter(|item| item["active"] == true).count(), 1);
    }
}
