// Line charts over time, and how numbers are written.
"use strict";

const Format = {
  number(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    if (size >= 1e9) return `${(value / 1e9).toFixed(1)} G`;
    if (size >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
    if (size >= 1e4) return `${(value / 1e3).toFixed(1)} k`;
    if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
    return value.toFixed(size >= 10 ? 1 : 2);
  },
  bytes(value) {
    if (value === null || value === undefined) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let at = 0;
    while (Math.abs(value) >= 1024 && at < units.length - 1) { value /= 1024; at += 1; }
    return `${value.toFixed(at && value < 100 ? 1 : 0)} ${units[at]}`;
  },
  millis(value) {
    if (value === null || value === undefined) return "–";
    if (value >= 3600e3) return `${(value / 3600e3).toFixed(1)} h`;
    if (value >= 60e3) return `${(value / 60e3).toFixed(1)} min`;
    if (value >= 1e3) return `${(value / 1e3).toFixed(1)} s`;
    return `${value.toFixed(value >= 10 ? 0 : 2)} ms`;
  },
  percent: (value) => (value === null || value === undefined ? "–" : `${value.toFixed(1)} %`),
  age(seconds) {
    if (seconds === null || seconds === undefined) return "–";
    if (seconds < 90) return `${Math.round(seconds)} s`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
    return `${Math.round(seconds / 86400)} d`;
  },
};

const Charts = (() => {
  const palette = ["#3b82c4", "#e08a3c", "#3fa66b", "#b565c9", "#cf5a5a", "#7f8c9b", "#c2a83e", "#4bb3b8"];
  const drawn = new Map();

  function css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // rows: {time: RFC 3339, series: text, value: number}; one line a series.
  // `missing` stands where a line has no row but another has one: what did not
  // change sends none.
  function draw(id, rows, { format = Format.number, from, to, max, missing = null } = {}) {
    const host = document.getElementById(id);
    drawn.get(id)?.destroy();
    drawn.delete(id);
    host.replaceChildren();
    const names = [...new Set(rows.map((row) => row.series))].sort();
    if (!rows.length) {
      const nothing = document.createElement("p");
      nothing.className = "nothing";
      nothing.textContent = "No samples in this range yet";
      host.append(nothing);
      return;
    }
    const times = [...new Set(rows.map((row) => Date.parse(row.time) / 1000))].sort((a, b) => a - b);
    const place = new Map(times.map((time, at) => [time, at]));
    const lines = names.map(() => new Array(times.length).fill(missing));
    for (const row of rows) lines[names.indexOf(row.series)][place.get(Date.parse(row.time) / 1000)] = row.value;
    const clock = new Intl.DateTimeFormat("en-GB", to - from > 172800
      ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", ...(to - from <= 300 && { second: "2-digit" }) });
    const axis = { stroke: css("--dim"), grid: { stroke: css("--line"), width: 1 }, ticks: { stroke: css("--line") } };
    const chart = new uPlot({
      width: host.clientWidth || 420,
      height: 210,
      cursor: { sync: { key: "time" } },
      scales: { x: { time: true, range: () => [from, to] }, y: { range: (_, low, high) => [0, max ?? (high > 0 ? high * 1.08 : 1)] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map((at) => clock.format(at * 1000)) }, { ...axis, size: 66, values: (_, ticks) => ticks.map(format) }],
      series: [{ value: (_, at) => (at === null ? "–" : clock.format(at * 1000)) }, ...names.map((label, at) => ({
        label, stroke: palette[at % palette.length], width: 1.7, spanGaps: false,
        points: { show: times.length < 40, size: 4 },
        value: (_, value) => (value === null ? "–" : format(value)),
      }))],
    }, [times, ...lines], host);
    // The legend takes its own height: fit both in the panel.
    host.style.height = "auto";
    drawn.set(id, chart);
  }

  new ResizeObserver(() => {
    for (const [id, chart] of drawn) {
      const width = document.getElementById(id).clientWidth;
      if (width && width !== chart.width) chart.setSize({ width, height: 210 });
    }
  }).observe(document.body);

  return { draw };
})();
