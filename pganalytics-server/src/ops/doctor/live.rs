//! The server as it runs.

use std::net::TcpListener;

use super::{Outcome, Patient, Report};
use crate::{config::Config, ops::local::LocalServer, rate::Class};

/// Headers that every answer carries.
const HEADERS: &[&str] = &["x-content-type-options", "x-frame-options", "referrer-policy", "content-security-policy"];
/// An uptime from which on rates mean something.
const SETTLED_SECS: f64 = 600.0;

/// What the running server says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    /// Bytes that came in, a second; once it has run for a while.
    pub(super) bytes_per_second: Option<f64>,
}

pub(super) fn look(patient: &Patient<'_>, server: Result<&LocalServer, &String>, report: &mut Report) -> Option<Seen> {
    let after = ["edge.headers", "flow.any", "flow.errors", "self.cpu", "self.memory", "self.latency"];
    let skip = |report: &mut Report, ids: &[&'static str], why: &str| {
        for id in ids {
            report.add(id, Outcome::Skip, why);
        }
    };
    let (config, server) = match (patient.config, server) {
        (Ok(config), Ok(server)) => (config, server),
        (_, Err(why)) => {
            skip(report, &["edge.ratelimit", "edge.cors", "edge.proxy", "live.ready", "listen.port"], why);
            skip(report, &after, why);
            return None;
        }
        (Err(_), Ok(_)) => return None,
    };
    edge(config, report);
    let ready = match server.get("/api/v1/health/ready", None) {
        Err(why) => {
            report.add("live.ready", Outcome::Fail, why);
            match TcpListener::bind(config.listen) {
                Ok(_) => report.add("listen.port", Outcome::Pass, format!("{} is free", config.listen)),
                Err(error) => report.add("listen.port", Outcome::Fail, format!("{}: {error}", config.listen)),
            }
            skip(report, &after, "the server does not answer");
            return None;
        }
        Ok(answer) => answer,
    };
    let ours = ready.body.contains("\"uptime_seconds\"");
    let owner = if ours { Outcome::Pass } else { Outcome::Fail };
    report.add("listen.port", owner, format!("{} answers {}", server.address(), ready.status));
    let outcome = if ready.status == 200 && ours { Outcome::Pass } else { Outcome::Fail };
    report.add("live.ready", outcome, format!("{} {}", ready.status, ready.body));
    let mut missing: Vec<String> =
        HEADERS.iter().filter(|name| ready.header(name).is_none()).map(|name| (*name).to_owned()).collect();
    if config.tls.is_some() && ready.header("strict-transport-security").is_none() {
        missing.push("strict-transport-security".to_owned());
    }
    report.sum("edge.headers", Outcome::Fail, &missing, "all are there");
    let token = config.settings.scrape_token.as_ref().map(|token| token.expose().as_str());
    match server.get("/metrics", token) {
        Ok(answer) if answer.status == 200 => Some(figures(&answer.body, report)),
        Ok(answer) => {
            let why = format!("/metrics answers {}: set PGANALYTICS_SCRAPE_TOKEN_FILE", answer.status);
            skip(report, after.get(1..).unwrap_or_default(), &why);
            None
        }
        Err(why) => {
            skip(report, after.get(1..).unwrap_or_default(), &why);
            None
        }
    }
}

fn edge(config: &Config, report: &mut Report) {
    let limits = config.settings.rate_limits;
    // Probes are answered from memory.
    let open: Vec<String> = Class::EACH
        .into_iter()
        .filter(|class| *class != Class::Probe && limits.of(*class) == 0)
        .map(|class| format!("{} has no limit", class.as_str()))
        .collect();
    report.sum("edge.ratelimit", Outcome::Fail, &open, "every class has one");
    let local =
        |origin: &str| ["http://localhost", "http://127.", "http://[::1]"].iter().any(|own| origin.starts_with(own));
    let plain: Vec<String> = config
        .settings
        .cors_allowed_origins
        .iter()
        .filter(|origin| origin.starts_with("http://") && !local(origin))
        .cloned()
        .collect();
    report.sum("edge.cors", Outcome::Fail, &plain, "none, or https only");
    let strangers = ["192.0.2.1", "2001:db8::1"].iter().filter_map(|text| text.parse().ok());
    let trusted: Vec<String> = strangers
        .filter(|address| config.settings.proxies.trusts(*address))
        .map(|address| format!("{address}, a stranger, is trusted"))
        .collect();
    report.sum("edge.proxy", Outcome::Fail, &trusted, "strangers are not trusted");
}

fn figures(page: &str, report: &mut Report) -> Seen {
    let get = |name: &str| sum_of(page, name);
    let frames = get("pganalytics_ingest_frames_total");
    let rejected = get("pganalytics_ingest_rejected_frames_total");
    let outcome = if frames > 0.0 { Outcome::Pass } else { Outcome::Warn };
    report.add("flow.any", outcome, format!("{frames} frames since the start"));
    if frames > 0.0 {
        let share = rejected / frames * 100.0;
        let outcome = if share > 0.1 { Outcome::Fail } else { Outcome::Pass };
        report.add("flow.errors", outcome, format!("{share:.2} % of frames refused"));
    } else {
        report.add("flow.errors", Outcome::Skip, "nothing has come in");
    }
    let uptime = get("pganalytics_uptime_seconds").max(1.0);
    let cpu = get("process_cpu_seconds_total") / uptime * 100.0;
    let outcome = match cpu {
        _ if uptime < SETTLED_SECS => Outcome::Skip,
        cpu if cpu > 40.0 => Outcome::Fail,
        _ => Outcome::Pass,
    };
    report.add("self.cpu", outcome, format!("{cpu:.1} % of a processor since the start, {uptime:.0} s ago"));
    let megabytes = get("process_resident_memory_bytes") / 1e6;
    match megabytes {
        0.0 => report.add("self.memory", Outcome::Skip, "this system does not tell"),
        _ => {
            let outcome = if megabytes > 200.0 { Outcome::Fail } else { Outcome::Pass };
            report.add("self.memory", outcome, format!("{megabytes:.0} MB"));
        }
    }
    match quantile(page, "pganalytics_http_request_duration_seconds", 0.95) {
        None => report.add("self.latency", Outcome::Skip, "nobody has asked yet"),
        Some(seconds) => {
            let outcome = if seconds > 0.5 { Outcome::Fail } else { Outcome::Pass };
            report.add("self.latency", outcome, format!("95 % of requests within {seconds} s since the start"));
        }
    }
    let rate = get("pganalytics_ingest_bytes_total") / uptime;
    Seen { bytes_per_second: (uptime >= SETTLED_SECS && rate > 0.0).then_some(rate) }
}

/// The end of the bucket of a histogram that a share of its values is within.
fn quantile(page: &str, name: &str, share: f64) -> Option<f64> {
    let count = sum_of(page, &format!("{name}_count"));
    let bucket = |line: &str| {
        let (end, below) = line.strip_prefix(name)?.strip_prefix("_bucket{le=\"")?.split_once("\"} ")?;
        Some((end.parse::<f64>().ok()?, below.trim().parse::<f64>().ok()?))
    };
    let within = page.lines().filter_map(bucket).find(|(_, below)| *below >= count * share);
    within.filter(|_| count > 0.0).map(|(end, _)| end)
}

/// The sum of all lines of a metric.
fn sum_of(page: &str, name: &str) -> f64 {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once("} ")?.1 } else { rest.strip_prefix(' ')? };
        rest.trim().parse::<f64>().ok()
    };
    page.lines().filter_map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::{quantile, sum_of};

    #[test]
    fn lines_of_a_metric_are_added_up_and_of_no_other() {
        let page = "# HELP a_total x\na_total{code=\"x y\"} 2\na_total{code=\"z\"} 3\na_total_more 7\nb 4\n";
        assert!((sum_of(page, "a_total") - 5.0).abs() < 1e-9 && (sum_of(page, "b") - 4.0).abs() < 1e-9);
        assert!(sum_of(page, "none").abs() < 1e-9);
    }

    #[test]
    fn the_quantile_is_the_end_of_its_bucket() {
        let page = "t_bucket{le=\"0.1\"} 90\nt_bucket{le=\"0.5\"} 96\nt_bucket{le=\"+Inf\"} 100\nt_count 100\n";
        assert_eq!((quantile(page, "t", 0.9), quantile(page, "t", 0.95)), (Some(0.1), Some(0.5)));
        assert_eq!((quantile(page, "t", 0.99), quantile("t_count 0\n", "t", 0.9)), (Some(f64::INFINITY), None));
    }
}
