// Node-RED for the flows beside it: on this machine alone, and nothing of it is told to anybody.
//
//   NODE_RED_HOST (127.0.0.1), NODE_RED_PORT (1880)
//   NODE_RED_PASSWORD            the editor's, of the user admin. Without it there is no editor, and the flows just run: whoever
//                                can edit flows can run any program as this process
//   NODE_RED_CREDENTIAL_SECRET   by which Node-RED keeps credentials that are entered in the editor; without it one of its own
//   MQTT_HOST, MQTT_PORT, MQTT_USERNAME, MQTT_PASSWORD, API_URL, API_KEY, TOPICS, COUCHDB_URL, COUCHDB_DATABASE,
//   COUCHDB_USERNAME, COUCHDB_PASSWORD   are read by the flows
//
// What is a file in NODE_RED_SECRETS (/run/secrets, as in a container) is the variable of that name.
const { createHash, timingSafeEqual } = require("node:crypto");
const { existsSync, readFileSync, readdirSync } = require("node:fs");

const { env } = process;
const secrets = env.NODE_RED_SECRETS || "/run/secrets";
if (existsSync(secrets)) {
  for (const name of readdirSync(secrets).filter((each) => /^[A-Z_]+$/.test(each))) {
    env[name] ??= readFileSync(`${secrets}/${name}`, "utf8").trim();
  }
}
const digest = (text) => createHash("sha256").update(text).digest();
const admin = { username: "admin", permissions: "*" };
const named = (name) => Promise.resolve(name === admin.username ? admin : null);

module.exports = {
  uiHost: env.NODE_RED_HOST || "127.0.0.1",
  uiPort: Number(env.NODE_RED_PORT || 1880),
  credentialSecret: env.NODE_RED_CREDENTIAL_SECRET || undefined,
  ...(env.NODE_RED_PASSWORD
    ? {
        adminAuth: {
          type: "credentials",
          users: named,
          authenticate: (name, password) =>
            timingSafeEqual(digest(password), digest(env.NODE_RED_PASSWORD)) ? named(name) : Promise.resolve(null),
        },
      }
    : { httpAdminRoot: false }),
  telemetry: { enabled: false, updateNotification: false },
  diagnostics: { enabled: false, ui: false },
  externalModules: { autoInstall: false, palette: { allowInstall: false, allowUpload: false }, modules: { allowInstall: false } },
  functionExternalModules: false,
  editorTheme: { projects: { enabled: false }, tours: false },
  logging: { console: { level: env.NODE_RED_LOG_LEVEL || "info", metrics: false, audit: false } },
};
