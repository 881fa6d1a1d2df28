// Shows the OpenAPI document to people.

import { byId, html, setText } from "./dom.js";
import { getJson, reason } from "./read.js";

const METHODS = ["get", "put", "post", "patch", "delete"];
const nameOf = (reference) => reference.split("/").pop();

// Text in which `this` is code.
const prose = (text = "") => text.split("`").map((part, index) => (index % 2 ? html("code", {}, part) : part));

// What a schema allows, in a few words; a body of its own is a link to it.
function typeOf(schema = {}, spec) {
  if (schema.$ref) {
    const target = spec.components.schemas[nameOf(schema.$ref)];
    if (target?.enum) return [target.enum.join(", ")];
    return [html("a", { href: `#body-${nameOf(schema.$ref)}` }, nameOf(schema.$ref))];
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, index) => [...(index ? [" or "] : []), ...typeOf(choice, spec)]);
  if (schema.const !== undefined) return [`"${schema.const}"`];
  if (schema.enum) return [schema.enum.join(", ")];
  if (schema.type === "array") return ["list of ", ...typeOf(schema.items, spec)];
  return [schema.format ?? schema.type ?? "anything"];
}

function example(schema = {}, parameter = {}) {
  const value = parameter.example ?? schema.examples?.[0] ?? schema.example;
  return value === undefined ? "" : html("code", {}, typeof value === "string" ? value : JSON.stringify(value));
}

function table(headings, rows) {
  const head = html("tr", {}, ...headings.map((heading) => html("th", { scope: "col" }, heading)));
  const body = rows.map(([first, ...cells]) =>
    html("tr", {}, html("th", { scope: "row" }, html("code", {}, first)), ...cells.map((cell) => html("td", {}, ...[cell].flat()))),
  );
  return html("div", { class: "scroll" }, html("table", {}, html("thead", {}, head), html("tbody", {}, ...body)));
}

function parameters(operation, spec) {
  if (!operation.parameters?.length) return [];
  const rows = operation.parameters.map((parameter) => [
    parameter.name,
    `${parameter.in}${parameter.required ? ", required" : ""}`,
    typeOf(parameter.schema, spec),
    [
      ...prose(parameter.description),
      ...(parameter.schema?.default === undefined ? [] : [` Default: ${parameter.schema.default}.`]),
    ],
    example(parameter.schema, parameter),
  ]);
  return [html("h4", {}, "Parameters"), table(["Name", "Where", "Value", "Meaning", "Example"], rows)];
}

function responses(operation, spec) {
  const rows = Object.entries(operation.responses).map(([status, response]) => {
    const [[type, content] = []] = Object.entries(response.content ?? {});
    return [status, prose(response.description), type ?? "", content?.schema ? typeOf(content.schema, spec) : ""];
  });
  return [html("h4", {}, "Answers"), table(["Status", "Meaning", "Media type", "Body"], rows)];
}

function operation(path, method, described, spec) {
  return html(
    "article",
    { id: described.operationId },
    html("h3", {}, html("code", {}, `${method.toUpperCase()} ${path}`)),
    html("p", {}, ...prose(described.description ?? described.summary)),
    ...parameters(described, spec),
    ...responses(described, spec),
  );
}

function body([name, schema], spec) {
  if (!schema.properties) return [];
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties).map(([field, member]) => [
    field,
    typeOf(member, spec),
    prose(`${member.description ?? ""}${required.has(field) ? "" : " May be left out."}`),
    example(member),
  ]);
  return [
    html("h3", { id: `body-${name}` }, name),
    html("p", {}, ...prose(schema.description)),
    table(["Member", "Value", "Meaning", "Example"], rows),
  ];
}

function show(spec) {
  setText(byId("title"), `${spec.info.title}: the interface`);
  byId("description").append(...spec.info.description.trim().split("\n\n").map((part) => html("p", {}, ...prose(part))));
  const contents = [];
  for (const { name, description } of spec.tags) {
    const section = html("section", {}, html("h2", {}, name), html("p", {}, description));
    for (const [path, methods] of Object.entries(spec.paths)) {
      for (const method of METHODS.filter((known) => methods[known]?.tags?.includes(name))) {
        section.append(operation(path, method, methods[method], spec));
        const link = html("a", { href: `#${methods[method].operationId}` }, `${method.toUpperCase()} ${path}`);
        contents.push(html("li", {}, link));
      }
    }
    byId("operations").append(section);
  }
  byId("contents").append(html("ul", {}, ...contents));
  byId("schemas").append(...Object.entries(spec.components.schemas).flatMap((entry) => body(entry, spec)));
  byId("notice").remove();
  // What the address points at may only be there now.
  if (location.hash) byId(location.hash.slice(1))?.scrollIntoView();
}

try {
  show(await getJson("openapi.json"));
} catch (error) {
  setText(byId("notice"), `The OpenAPI document cannot be shown: ${reason(error)}`);
}
