//! What an answer says about the state it was made from: the four `x-openshell-*` headers of
//! every answer and every refusal. Comparing revisions of different epochs is the caller's care.

use tonic::metadata::MetadataMap;

/// The position of the state behind one answer. A field is absent when the node did not send it,
/// as older gateways do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Which life of the cluster: changes when one is made from a backup.
    pub epoch: Option<u64>,
    /// The Raft log index that produced the state.
    pub revision: Option<u64>,
    /// The node that answered.
    pub node: Option<u64>,
    /// Milliseconds since the node last knew that it was current.
    pub age_ms: Option<u64>,
}

impl Seen {
    /// Reads the headers of an answer, or those of a refusal (`status.metadata()`). A header that
    /// is no number counts as absent.
    #[must_use]
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        let number = |name: &str| metadata.get(name).and_then(|value| value.to_str().ok()?.parse().ok());
        Self {
            epoch: number("x-openshell-epoch"),
            revision: number("x-openshell-revision"),
            node: number("x-openshell-node"),
            age_ms: number("x-openshell-age-ms"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;
    use tonic::metadata::MetadataMap;

    #[test]
    fn headers_become_numbers_and_nonsense_counts_as_absent() {
        let mut metadata = MetadataMap::new();
        metadata.insert("x-openshell-epoch", "3".parse().expect("a value"));
        metadata.insert("x-openshell-revision", "812".parse().expect("a value"));
        metadata.insert("x-openshell-node", "two".parse().expect("a value"));
        let seen = Seen::from_metadata(&metadata);
        assert_eq!(seen, Seen { epoch: Some(3), revision: Some(812), node: None, age_ms: None });
    }
}
