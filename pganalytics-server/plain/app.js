// The overview: what runs, how it does, what costs most, over a chosen range.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  const REFRESH_MS = 10000;
  let timer = null;
  let generation = 0;

  // A range is cut into some 90 points, but never finer than samples come.
  function bucketSeconds(range) {
    return [10, 30, 60, 120, 300, 900, 3600, 7200].find((step) => range / step <= 95) || 7200;
  }

  // Only whole numbers of our own select get into the text; names are parameters.
  function scope() {
    const range = Number($("range").value);
    const bucket = bucketSeconds(range);
    const server = $("server").value;
    const params = server ? [server] : [];
    const where = `time > now() - interval '${range} seconds'${server ? " and server_id = $1" : ""}`;
    const only = server ? " where server_id = $1" : "";
    const stamp = `date_bin(interval '${bucket} seconds', time, timestamp '2000-01-01')`;
    return { range, bucket, params, where, only, stamp, now: Date.now() / 1000 };
  }

  const views = {
    // Buckets whose seconds are not all there yet would look like a fall.
    async servers() {
      const [up, info, load, connections] = await Promise.all([
        Api.sql("select instance_id, server_id, server, time, up, error from pg_up_latest order by server"),
        Api.sql("select * from pg_server_latest"),
        // The first increase covers the time before its row, too.
        Api.sql(`select instance_id,
                        sum(xact_commit + xact_rollback) / (extract(epoch from max(time) - min(time)) + min(delta_seconds)) as tps,
                        100.0 * sum(blks_hit) / nullif(sum(blks_hit) + sum(blks_read), 0) as hit
                 from pg_stat_database_delta
                 where time > now() - interval '120 seconds' and delta_seconds > 0 group by 1`),
        Api.sql("select instance_id, sum(numbackends) as connections from pg_stat_database_latest group by 1"),
      ]);
      const by = (rows) => new Map(rows.map((row) => [row.instance_id, row]));
      const infos = by(info), loads = by(load), counts = by(connections);
      fillServerChoice(up);
      const standby = (row) => (infos.get(row.instance_id)?.in_recovery ? 1 : 0);
      up.sort((a, b) => standby(a) - standby(b));
      $("servers").replaceChildren(...up.map((row) => serverCard(
        row, infos.get(row.instance_id) || {}, loads.get(row.instance_id) || {}, counts.get(row.instance_id) || {})));
      if (!up.length) showProblem("No server has been seen yet. Start one with: pganalytics-server serve --monitor postgres://…");
      const newest = Math.max(...up.map((row) => Date.parse(row.time)));
      $("freshness").textContent = up.length ? `data ${Format.age(Math.max(0, (Date.now() - newest) / 1000))} old` : "";
    },

    async tps(s) {
      const rows = await Api.sql(
        `select ${s.stamp} as time, coalesce(nullif(datname, ''), 'shared') as series,
                sum(xact_commit + xact_rollback) / ${s.bucket}.0 as value
         from pg_stat_database_delta where ${s.where} group by 1, 2 having sum(xact_commit + xact_rollback) > 0`, s.params);
      Charts.draw("chart-tps", top(rows, 7), { ...window_(s), missing: 0 });
    },

    async connections(s) {
      const rows = await Api.sql(
        `select time, series, avg(value) as value from (
           select ${s.stamp} as time, coalesce(nullif(state, ''), 'background') as series, time as at, sum("count") as value
           from pg_stat_activity_summary where ${s.where} group by 1, 2, 3) as each group by 1, 2`, s.params);
      Charts.draw("chart-connections", top(rows, 7), { ...window_(s), missing: 0 });
    },

    async cache(s) {
      const rows = await Api.sql(
        `select ${s.stamp} as time, server as series, 100.0 * sum(blks_hit) / nullif(sum(blks_hit) + sum(blks_read), 0) as value
         from pg_stat_database_delta where ${s.where} group by 1, 2`, s.params);
      Charts.draw("chart-cache", rows.filter((row) => row.value !== null), { ...window_(s), format: Format.percent, max: 100 });
    },

    async rows(s) {
      const rows = await Api.sql(
        `select ${s.stamp} as time, sum(tup_inserted) / ${s.bucket}.0 as inserted,
                sum(tup_updated) / ${s.bucket}.0 as updated, sum(tup_deleted) / ${s.bucket}.0 as deleted
         from pg_stat_database_delta where ${s.where} group by 1`, s.params);
      const long = rows.flatMap((row) => ["inserted", "updated", "deleted"].map((series) => ({ time: row.time, series, value: row[series] })));
      Charts.draw("chart-rows", long, { ...window_(s), missing: 0 });
    },

    async queries(s) {
      // A range may reach back to before anybody watched.
      const since = Api.sql(`select min(time) as since from pg_up where ${s.where}`, s.params);
      const most = Api.sql(
        `select d.server, d.datname, cast(d.queryid as text) as queryid, sum(d.calls) as calls, sum(d.total_exec_time) as total,
                sum(d.total_exec_time) / nullif(sum(d.calls), 0) as mean, sum(d.rows) as rows,
                100.0 * sum(d.shared_blks_hit) / nullif(sum(d.shared_blks_hit) + sum(d.shared_blks_read), 0) as hit
         from pg_stat_statements_delta d where ${s.where} group by 1, 2, 3
         having sum(d.calls) > 0 order by total desc limit 20`, s.params);
      const [rows, [{ since: first } = {}]] = await Promise.all([most, since]);
      // As text: a bigint is more than a number of JavaScript holds.
      const ids = rows.map((row) => row.queryid).filter((id) => id !== null);
      const texts = new Map();
      if (ids.length) {
        const holes = ids.map((_, at) => `$${at + 1}`).join(", ");
        for (const row of await Api.sql(`select cast(queryid as text) as queryid, query from pg_query_text_latest where queryid in (${holes})`, ids)) {
          texts.set(row.queryid, row.query);
        }
      }
      const seconds = first ? Math.max(10, Math.min(s.range, s.now - Date.parse(first) / 1000)) : s.range;
      const all = rows.reduce((sum, row) => sum + row.total, 0);
      table("top-queries", [
        ["Query", (row) => texts.get(row.queryid) || `query ${row.queryid}`, "sql"],
        ["Database", (row) => row.datname],
        ["Time", (row) => Format.millis(row.total), "num"],
        ["Share", (row) => share(row.total / all)],
        ["Calls/s", (row) => Format.number(row.calls / seconds), "num"],
        ["Mean", (row) => Format.millis(row.mean), "num"],
        ["Rows/call", (row) => Format.number(row.rows / row.calls), "num"],
        ["Cache hit", (row) => Format.percent(row.hit), "num"],
      ], rows, "No statements in this range yet. Is pg_stat_statements in shared_preload_libraries?");
    },

    async sizes(s) {
      const rows = await Api.sql(
        // A standby has the same tables as its primary, but knows little of their rows.
        `select z.server_id, z.database_name, z.schemaname, z.relname, max(z.total_size) as total_size,
                max(t.n_live_tup) as n_live_tup, max(t.n_dead_tup) as n_dead_tup
         from pg_table_size_latest z
         left join pg_stat_user_tables_latest t on t.instance_id = z.instance_id
           and t.database_name = z.database_name and t.relid = z.relid
         ${s.only.replace("server_id", "z.server_id")} group by 1, 2, 3, 4 order by total_size desc nulls last limit 15`, s.params);
      table("table-sizes", [
        ["Table", (row) => `${row.database_name}.${row.schemaname}.${row.relname}`],
        ["Size", (row) => Format.bytes(row.total_size), "num"],
        ["Live rows", (row) => Format.number(row.n_live_tup), "num"],
        ["Dead", (row) => Format.number(row.n_dead_tup), "num"],
      ], rows, "No sizes yet: they are taken every few minutes.");
    },

    async activity(s) {
      const rows = await Api.sql(
        `select server, datname, usename, pid, state, wait_event_type, wait_event, query_age, blocked_by
         from pg_stat_activity_latest${s.only}${s.only ? " and" : " where"} state <> 'idle'
         order by query_age desc nulls last limit 15`, s.params);
      table("activity", [
        ["Process", (row) => row.pid, "num"],
        ["Who", (row) => `${row.usename || "–"} @ ${row.datname || "–"}`],
        ["State", (row) => row.state || "–"],
        ["Waits for", (row) => (row.wait_event ? `${row.wait_event_type}: ${row.wait_event}` : "–")],
        ["Blocked by", (row) => row.blocked_by || ""],
        ["For", (row) => Format.age(row.query_age), "num"],
      ], rows, "Nothing is running just now.");
    },
  };

  function window_(s) { return { from: s.now - s.range, to: s.now }; }

  // The biggest lines, the others as one.
  function top(rows, most) {
    const sums = new Map();
    for (const row of rows) sums.set(row.series, (sums.get(row.series) || 0) + row.value);
    const kept = new Set([...sums].sort((a, b) => b[1] - a[1]).slice(0, most).map(([name]) => name));
    const others = new Map();
    const result = [];
    for (const row of rows) {
      if (kept.has(row.series)) result.push(row);
      else others.set(row.time, (others.get(row.time) || 0) + row.value);
    }
    for (const [time, value] of others) result.push({ time, series: "others", value });
    return result;
  }

  function element(tag, text, name) {
    const made = document.createElement(tag);
    if (text !== undefined && text !== null) made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function share(part) {
    const bar = element("meter");
    bar.max = 1;
    bar.value = part || 0;
    bar.title = Format.percent(100 * part);
    return bar;
  }

  function serverCard(up, info, load, count) {
    const stale = Date.now() - Date.parse(up.time) > 120000;
    const card = element("article", null, `card ${!up.up ? "down" : stale ? "stale" : ""}`);
    const title = element("h3", up.server);
    title.append(element("span", !up.up ? "down" : stale ? "no data" : "up", "state"));
    const figures = element("dl");
    for (const [name, value] of [
      ["Transactions/s", Format.number(load.tps)], ["Connections", Format.number(count.connections)], ["Cache hit", Format.percent(load.hit)],
    ]) {
      const cell = element("div");
      cell.append(element("dt", name), element("dd", value));
      figures.append(cell);
    }
    const role = info.in_recovery === undefined ? "" : info.in_recovery ? "standby" : "primary";
    const started = info.start_time ? `up ${Format.age((Date.now() - Date.parse(info.start_time)) / 1000)}` : "";
    const version = info.server_version_num && `PostgreSQL ${Math.floor(info.server_version_num / 10000)}.${info.server_version_num % 10000}`;
    card.append(title, element("p", [version, role, started].filter(Boolean).join(" · ")), figures);
    if (!up.up && up.error) card.append(element("p", up.error, "error"));
    return card;
  }

  function fillServerChoice(rows) {
    const select = $("server");
    const chosen = select.value;
    const names = new Map(rows.map((row) => [row.server_id, row.server]));
    if (names.size === select.options.length - 1) return;
    select.replaceChildren(new Option("all servers", ""), ...[...names].map(([id, name]) => new Option(name, id)));
    select.value = names.has(chosen) ? chosen : "";
  }

  function table(id, columns, rows, nothing) {
    const host = $(id);
    // Whoever reads a long query must not lose it at the next refresh.
    const open = new Set([...host.querySelectorAll("td.sql.open")].map((cell) => cell.textContent));
    const head = element("tr");
    for (const [name, , kind] of columns) head.append(element("th", name, kind === "num" ? "num" : ""));
    const body = rows.map((row) => {
      const line = element("tr");
      for (const [, value, kind] of columns) {
        const shown = value(row);
        const cell = element("td", shown instanceof Node ? null : shown, kind || "");
        if (shown instanceof Node) cell.append(shown);
        if (kind === "sql") {
          cell.title = "Click to see all of it";
          if (open.has(cell.textContent)) cell.classList.add("open");
          cell.addEventListener("click", () => cell.classList.toggle("open"));
        }
        line.append(cell);
      }
      return line;
    });
    if (!rows.length) {
      const cell = element("td", nothing);
      cell.colSpan = columns.length;
      const line = element("tr");
      line.append(cell);
      body.push(line);
    }
    host.replaceChildren(head, ...body);
  }

  function showProblem(text) {
    $("problem").textContent = text || "";
    $("problem").hidden = !text;
  }

  async function refresh() {
    clearTimeout(timer);
    const mine = ++generation;
    const s = scope();
    const problems = [];
    showProblem("");
    // One view that fails leaves the others standing.
    await Promise.all(Object.entries(views).map(([name, view]) => view(s).catch((error) => {
      if (error.status === 401) throw error;
      problems.push(`${name}: ${error.message}`);
    }))).catch(() => showLogin());
    if (mine !== generation) return;
    if (problems.length) showProblem(problems.join(" — "));
    document.body.dataset.ready = "yes";
    if (!$("overview").hidden) timer = setTimeout(refresh, REFRESH_MS);
  }

  function showLogin() {
    clearTimeout(timer);
    $("overview").hidden = true;
    $("controls").hidden = true;
    $("login").hidden = false;
    $("login-form").elements.password.focus();
  }

  function showOverview() {
    $("login").hidden = true;
    $("overview").hidden = false;
    $("controls").hidden = false;
    refresh();
  }

  $("login-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const form = event.target;
    $("login-error").textContent = "";
    try {
      await Api.login(form.elements.username.value, form.elements.password.value);
      form.elements.password.value = "";
      showOverview();
    } catch (error) {
      $("login-error").textContent = error.message;
    }
  });
  $("logout").addEventListener("click", () => Api.logout().catch(() => {}).then(showLogin));
  $("range").addEventListener("change", refresh);
  $("server").addEventListener("change", refresh);
  document.addEventListener("visibilitychange", () => { if (!document.hidden && !$("overview").hidden) refresh(); });

  Api.version().then((version) => { $("version").textContent = `pgAnalytics ${version.version}`; }).catch(() => {});
  Api.me().then(showOverview, showLogin);
})();
