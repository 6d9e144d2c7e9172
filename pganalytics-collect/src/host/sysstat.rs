//! What the kernel counts of the whole host: `sysstat`, `sysstat_disk`,
//! `sysstat_net`.

use pganalytics_core::{Batch, Timestamp, Value, catalog::Measurement};

use super::{HostCollector, devices, int, kernel::Kernel, seconds};
use crate::error::CollectError;

impl HostCollector {
    pub(super) fn sysstat(&self, measurement: &Measurement, now: Timestamp) -> Result<Batch, CollectError> {
        let mut kernel = Kernel::default();
        kernel.read_stat(&self.read("proc/stat")?, self.hertz);
        kernel.read_meminfo(&self.read("proc/meminfo")?);
        // Kernels may be built without these.
        let optional = |file: &str| self.read(file).unwrap_or_default();
        kernel.read_loadavg(&optional("proc/loadavg"));
        kernel.read_vmstat(&optional("proc/vmstat"));
        kernel.read_uptime(&optional("proc/uptime"));
        kernel.read_pressure(&optional("proc/pressure/cpu"), "psi_cpu_some", None);
        kernel.read_pressure(&optional("proc/pressure/memory"), "psi_memory_some", Some("psi_memory_full"));
        kernel.read_pressure(&optional("proc/pressure/io"), "psi_io_some", Some("psi_io_full"));
        Ok(self.batch(measurement, now, std::slice::from_ref(&kernel), |kernel, column| {
            kernel.int(column).map(Value::Int).or_else(|| kernel.float(column).map(Value::Float))
        })?)
    }

    pub(super) fn sysstat_disk(&self, measurement: &Measurement, now: Timestamp) -> Result<Batch, CollectError> {
        let text = self.read("proc/diskstats")?;
        let disks = devices::disks(&text);
        // The kernel counts sectors of 512 bytes, whatever the device has.
        Ok(self.batch(measurement, now, &disks, |disk, column| {
            let count = |at| disk.field(at).map(int);
            let bytes = |at| disk.field(at).map(|sectors| int(sectors.saturating_mul(512)));
            let time = |at| disk.field(at).map(|millis| Value::Float(seconds(millis, 1000)));
            match column {
                "device" => Some(Value::Text(disk.name)),
                "reads" => count(0),
                "reads_merged" => count(1),
                "read_bytes" => bytes(2),
                "read_time" => time(3),
                "writes" => count(4),
                "writes_merged" => count(5),
                "written_bytes" => bytes(6),
                "write_time" => time(7),
                "in_flight" => count(8),
                "io_time" => time(9),
                "weighted_io_time" => time(10),
                "discards" => count(11),
                "discarded_bytes" => bytes(13),
                "flushes" => count(15),
                "flush_time" => time(16),
                _ => None,
            }
        })?)
    }

    pub(super) fn sysstat_net(&self, measurement: &Measurement, now: Timestamp) -> Result<Batch, CollectError> {
        let text = self.read("proc/net/dev")?;
        let interfaces = devices::interfaces(&text);
        Ok(self.batch(measurement, now, &interfaces, |interface, column| {
            let count = |at| interface.field(at).map(int);
            match column {
                "interface" => Some(Value::Text(interface.name)),
                "rx_bytes" => count(0),
                "rx_packets" => count(1),
                "rx_errors" => count(2),
                "rx_dropped" => count(3),
                "tx_bytes" => count(8),
                "tx_packets" => count(9),
                "tx_errors" => count(10),
                "tx_dropped" => count(11),
                _ => None,
            }
        })?)
    }
}
