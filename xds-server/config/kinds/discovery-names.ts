/** What the kinds of service discovery share: addresses of servers, and secrets that stand elsewhere. */
import { isIP } from "node:net";
import { isScalar } from "yaml";
import { fail } from "../cursor.ts";
import type { SecretReference } from "../discovery-model.ts";
import { exactlyOne, object, optional, type Reader } from "../reader.ts";
import { text } from "../scalars.ts";

/** A path of this machine, relative to the working folder of the server unless it begins with a slash. */
export const filePath = text({ max: 4_096 });

const reference = object<{ readonly env: string | undefined; readonly file: string | undefined }>({
  env: optional(text({ max: 256, pattern: /^[A-Za-z_][A-Za-z0-9_]*$/, what: "the name of an environment variable" })),
  file: optional(filePath),
});

/** `{env: NAME}` or `{file: PATH}`. A text is refused without repeating it: it is most likely the secret itself. */
export const secretReference: Reader<SecretReference> = (cursor) => {
  if (!isScalar(cursor.node)) return exactlyOne(reference, "env", "file")(cursor) as SecretReference | undefined;
  const remedy = "Name where it is: {env: NAME} or {file: PATH}.";
  return fail(cursor, "TM_CONFIG_WRONG_TYPE", "a secret does not stand in the configuration", remedy);
};

/** `http[s]://host[:port][/path]` or `host:port`, without user and query. */
export const serverAddress: Reader<string> = (cursor) => {
  const value = text({ max: 512, secret: true })(cursor);
  if (value === undefined) return undefined;
  const url = /^https?:\/\//.test(value) ? value : `http://${value}`;
  const remedy = "Write http://HOST:PORT, https://HOST:PORT or HOST:PORT.";
  if (!URL.canParse(url) || /[\s\\]/.test(value))
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not the address of a server", remedy);
  const { username, password, search, hash } = new URL(url);
  if (username !== "" || password !== "")
    return fail(
      cursor,
      "TM_CONFIG_INVALID_VALUE",
      "an address has no user and no password",
      "Use the fields for them.",
    );
  if (search !== "" || hash !== "")
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "an address has no query and no fragment", remedy);
  return value;
};

/** `ip:port` or `[ip]:port`. */
export const socketAddress: Reader<string> = (cursor) => {
  const value = text({ max: 64 })(cursor);
  if (value === undefined) return undefined;
  const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) ?? [];
  const family = v6 === undefined ? 4 : 6;
  if (isIP(v6 ?? v4 ?? "") === family && Number(port) >= 1 && Number(port) <= 65_535) return value;
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${JSON.stringify(value)} is not an IP address with a port`);
};
