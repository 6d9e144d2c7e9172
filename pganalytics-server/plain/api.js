// Talks to the server: log-in by cookie, SQL, errors as people can read them.
"use strict";

const Api = (() => {
  const base = "api/v1";
  // The session's cookies are httpOnly but for this one: its token proves that a
  // request comes from this page. Read each time: another tab may have renewed it.
  const csrf = () => document.cookie.match(/(?:^|; )pga_csrf=([^;]+)/)?.[1] || "";

  class ApiError extends Error {
    constructor(status, code, message) {
      super(message);
      this.status = status;
      this.code = code;
    }
  }

  async function call(method, path, body) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    if (csrf()) headers["X-CSRF-Token"] = csrf();
    let answer;
    try {
      answer = await fetch(`${base}/${path}`, {
        method, headers, credentials: "same-origin",
        body: body === undefined ? undefined : JSON.stringify(body),
      });
    } catch {
      throw new ApiError(0, "unreachable", "The server does not answer. Is it running?");
    }
    const text = await answer.text();
    let document = {};
    try { document = text ? JSON.parse(text) : {}; } catch { /* not JSON: the status says enough */ }
    if (!answer.ok) throw new ApiError(answer.status, document.code, document.message || `HTTP ${answer.status}`);
    return document;
  }

  let renewing = null;
  // An access token lives for minutes: renew it once, then try again.
  async function withRenewal(request) {
    try {
      return await request();
    } catch (error) {
      if (error.status !== 401) throw error;
      renewing ??= call("POST", "auth/refresh?cookie=true", {}).finally(() => { renewing = null; });
      await renewing;
      return request();
    }
  }

  return {
    ApiError,
    login: (username, password) => call("POST", "auth/login?cookie=true", { username, password }),
    logout: () => withRenewal(() => call("POST", "auth/logout", {})),
    me: () => withRenewal(() => call("GET", "auth/me")),
    version: () => call("GET", "version"),
    // Rows as objects. A measurement that nobody has sent yet is no rows.
    async sql(sql, params) {
      try {
        const answer = await withRenewal(() => call("POST", "sql", { sql, params, max_rows: 20000 }));
        const names = answer.columns.map((column) => column.name);
        return answer.rows.map((row) => Object.fromEntries(row.map((value, at) => [names[at], value])));
      } catch (error) {
        if (error.code === "unknown_table") return [];
        throw error;
      }
    },
  };
})();
