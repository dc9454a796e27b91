//! The numbers on a node's `/metrics` page.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;

use crate::http::http_get_at;

/// Every sample of one page: name with its labels as printed -> value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// The sum of all samples of one name, whatever their labels; none when the page has none.
    #[must_use]
    pub fn sum(&self, name: &str) -> Option<f64> {
        let named = |sample: &str| sample.split('{').next() == Some(name);
        let values: Vec<f64> = self.0.iter().filter(|(sample, _)| named(sample)).map(|(_, value)| *value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }
}

/// Reads the metrics page on a port of this machine.
///
/// # Errors
/// As [`http_get`](crate::http_get), and for any status but 200.
pub async fn scrape(port: u16) -> anyhow::Result<Metrics> {
    scrape_at(Ipv4Addr::LOCALHOST.into(), port).await
}

/// As [`scrape`], of a process at another address.
pub(crate) async fn scrape_at(address: IpAddr, port: u16) -> anyhow::Result<Metrics> {
    let (status, body) = http_get_at(address, port, "/metrics").await?;
    ensure!(status == 200, "the metrics page answered {status}");
    Ok(Metrics::parse(&body))
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_of_one_name_are_added_over_their_labels() {
        let page = "# HELP a\na_total{x=\"1\"} 2\na_total{x=\"2\"} 3\na_total_more 7\n# EOF\n";
        let metrics = Metrics::parse(page);
        assert_eq!(metrics.sum("a_total"), Some(5.0));
        assert_eq!(metrics.sum("b_total"), None);
    }
}
