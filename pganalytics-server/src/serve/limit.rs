//! The limits of connections by name: as metrics count them, as logs and
//! refusals name them.

/// A limit that a connection can run into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Limit {
    Connections,
    ConnectionsPerAddress,
    TlsHandshake,
    FirstBytes,
    Headers,
    Idle,
    Age,
    WriteProgress,
    ControlFrames,
    Resets,
    Flood,
}

impl Limit {
    pub(crate) const EACH: [Self; 11] = [
        Self::Connections,
        Self::ConnectionsPerAddress,
        Self::TlsHandshake,
        Self::FirstBytes,
        Self::Headers,
        Self::Idle,
        Self::Age,
        Self::WriteProgress,
        Self::ControlFrames,
        Self::Resets,
        Self::Flood,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::TlsHandshake => "tls_handshake_timeout",
            Self::FirstBytes => "first_bytes_timeout",
            Self::Headers => "header_timeout",
            Self::Idle => "idle_timeout",
            Self::Age => "max_connection_age",
            Self::WriteProgress => "write_timeout",
            Self::ControlFrames => "http2_max_control_frames",
            Self::Resets => "http2_max_resets",
            // What the HTTP/2 library stops by itself: headers and data in ever
            // smaller frames, errors that cost the server an answer each.
            Self::Flood => "http2_flood",
        }
    }

    /// What an HTTP/1 client reads when it is cut off between two requests;
    /// `None`: it asked for nothing, so there is nothing to answer.
    pub(super) fn http1_answer(self) -> Option<String> {
        let (status, detail) = match self {
            Self::Connections => ("503 Service Unavailable", "the server has as many connections as it takes"),
            Self::ConnectionsPerAddress => {
                ("429 Too Many Requests", "there are as many connections from this address as the server takes")
            }
            Self::FirstBytes | Self::Headers => ("408 Request Timeout", "the request did not come in time"),
            _ => return None,
        };
        let code = self.as_str();
        let number = status.get(..3).unwrap_or_default();
        let body = format!(
            "{{\"type\":\"urn:pganalytics:problem:{code}\",\"title\":\"{}\",\"status\":{number},\
             \"detail\":\"{detail}\",\"code\":\"{code}\",\"message\":\"{detail}\"}}",
            status.get(4..).unwrap_or_default()
        );
        Some(format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/problem+json\r\nContent-Length: {}\r\n\
             Retry-After: 5\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ))
    }

    /// A GOAWAY frame that says the name, and `ENHANCE_YOUR_CALM` where the
    /// client did what it should not.
    pub(super) fn go_away(self) -> Vec<u8> {
        const GOAWAY: u8 = 7;
        const NO_ERROR: u32 = 0;
        const ENHANCE_YOUR_CALM: u32 = 11;
        let error = if matches!(self, Self::Idle | Self::Age) { NO_ERROR } else { ENHANCE_YOUR_CALM };
        let name = self.as_str().as_bytes();
        // Names are some twenty letters: the length fits its three bytes.
        let [.., high, middle, low] = (8 + name.len()).to_be_bytes();
        let mut frame = vec![high, middle, low, GOAWAY, 0, 0, 0, 0, 0];
        frame.extend(0_u32.to_be_bytes());
        frame.extend(error.to_be_bytes());
        frame.extend(name);
        frame
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn each_is_counted_under_a_name_of_its_own() {
        for (at, limit) in Limit::EACH.into_iter().enumerate() {
            assert_eq!(limit as usize, at);
        }
        let mut names = Limit::EACH.map(Limit::as_str).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Limit::EACH.len());
    }

    #[test]
    fn answers_are_whole_problem_documents() {
        for limit in Limit::EACH {
            let Some(answer) = limit.http1_answer() else { continue };
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert_eq!(body["code"], limit.as_str());
        }
    }
}
