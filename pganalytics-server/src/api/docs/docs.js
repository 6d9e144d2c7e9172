// Shows openapi.json of this server.
"use strict";

(async () => {
  const host = document.getElementById("paths");
  const element = (tag, text, name) => {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (name) made.className = name;
    return made;
  };
  let api;
  try {
    api = await (await fetch("openapi.json")).json();
  } catch (error) {
    host.replaceChildren(element("p", `The document can't be read: ${error.message}`));
    return;
  }
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;

  // An example value of a schema: shorter to read than the schema itself.
  function example(schema, depth = 0) {
    if (!schema || depth > 6) return null;
    if (schema.$ref) return example(api.components.schemas[schema.$ref.split("/").pop()], depth + 1);
    if (schema.example !== undefined) return schema.example;
    if (schema.oneOf) return example(schema.oneOf.find((one) => one.type !== "null"), depth + 1);
    if (schema.allOf) return Object.assign({}, ...schema.allOf.map((part) => example(part, depth + 1)));
    if (schema.enum) return schema.enum[0];
    const type = Array.isArray(schema.type) ? schema.type.find((one) => one !== "null") : schema.type;
    if (type === "array") return [example(schema.items, depth + 1)];
    if (type === "object" || schema.properties) {
      return Object.fromEntries(Object.entries(schema.properties || {}).map(([name, part]) => [name, example(part, depth + 1)]));
    }
    if (type === "integer" || type === "number") return 0;
    if (type === "boolean") return false;
    return schema.format === "uuid" ? "00000000-0000-0000-0000-000000000000" : schema.format === "date-time" ? "2026-01-31T12:00:00Z" : "…";
  }

  function bodies(content) {
    return Object.entries(content || {}).flatMap(([kind, body]) => {
      const title = element("p", kind);
      return kind.includes("json") && body.schema ? [title, element("pre", JSON.stringify(example(body.schema), null, 2))] : [title];
    });
  }

  function show(path, method, operation) {
    const box = element("details");
    box.dataset.text = `${method} ${path} ${operation.summary || ""}`.toLowerCase();
    const head = element("summary");
    const who = !operation.security || operation.security.length === 0 ? "open"
      : operation.security.map((one) => Object.keys(one)[0] || "this machine").join(" or ");
    head.append(element("span", method.toUpperCase(), "method"), element("code", path), element("span", operation.summary || ""), element("span", who, "who"));
    box.append(head);
    if (operation.description) box.append(element("p", operation.description));
    if (operation.parameters && operation.parameters.length) {
      const table = element("table");
      for (const parameter of operation.parameters) {
        const row = element("tr");
        row.append(element("td", parameter.name), element("td", parameter.in + (parameter.required ? ", required" : "")), element("td", parameter.description || ""));
        table.append(row);
      }
      box.append(element("h3", "Parameters"), table);
    }
    if (operation.requestBody) box.append(element("h3", "Body"), ...bodies(operation.requestBody.content));
    box.append(element("h3", "Answers"));
    for (const [status, answer] of Object.entries(operation.responses || {})) {
      box.append(element("p", `${status} — ${answer.description || ""}`));
      if (status.startsWith("2")) box.append(...bodies(answer.content));
    }
    return box;
  }

  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(item)) {
      const tag = (operation.tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(show(path, method, operation));
    }
  }
  host.replaceChildren(...[...groups].flatMap(([tag, boxes]) => [element("h2", tag), ...boxes]));
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const box of host.querySelectorAll("details")) box.hidden = !box.dataset.text.includes(wanted);
  });
})();
