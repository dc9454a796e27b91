//! The ports an endpoint stands for. Whether they are sensible is judged by `safety`, not here.

use openshell_proto::sandbox::NetworkEndpoint;

/// The highest port number.
pub const PORT_MAX: u32 = 65_535;

/// Effective ports of an endpoint: `ports` when it has any, otherwise the single `port`, otherwise none.
///
/// Shape: in the order written, zeros, duplicates and numbers above [`PORT_MAX`] included.
/// Source: config.md PM-15.
pub fn effective(endpoint: &NetworkEndpoint) -> Vec<u32> {
    if !endpoint.ports.is_empty() {
        endpoint.ports.clone()
    } else if endpoint.port > 0 {
        vec![endpoint.port]
    } else {
        Vec::new()
    }
}

/// How many those are.
pub(crate) fn count(endpoint: &NetworkEndpoint) -> usize {
    if endpoint.ports.is_empty() { usize::from(endpoint.port > 0) } else { endpoint.ports.len() }
}

/// Effective ports as people read them: `443` or `80,443`, empty when there are none.
pub(crate) fn text(ports: &[u32]) -> String {
    ports.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pm_15_a_list_of_ports_wins_over_the_single_one() {
        let endpoint = |port, ports: &[u32]| NetworkEndpoint { port, ports: ports.to_vec(), ..Default::default() };
        assert_eq!(effective(&endpoint(1, &[3, 2])), [3, 2]);
        assert_eq!(effective(&endpoint(1, &[])), [1]);
        assert!(effective(&endpoint(0, &[])).is_empty());
        assert_eq!(effective(&endpoint(443, &[0])), [0]);
    }
}
