import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { AUTHORITY, ROTATED, SERVER } from "../../test/fixtures/tls/index.ts";
import { formatError, parseConfig } from "./index.ts";

/** Secrets and the servers that name them. */

const base64 = (text: string) => Buffer.from(text).toString("base64");
const secret = (fields: Readonly<Record<string, unknown>>, type = "kubernetes.io/tls") =>
  JSON.stringify({ apiVersion: "v1", kind: "Secret", metadata: { name: "shop" }, type, ...fields });
const gateway = (tls: string, protocol = "HTTPS") => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {servers: [{port: {number: 443, name: https, protocol: ${protocol}}, ${tls}hosts: ["*"]}]}`;
const parse = (...texts: readonly string[]) =>
  parseConfig(texts.map((text, index) => ({ file: `${index}.yaml`, text })));
const errors = (...texts: readonly string[]) => {
  const result = parse(...texts);
  return result.ok ? [] : result.errors.map(formatError);
};
const pair = { "tls.crt": SERVER.cert, "tls.key": SERVER.key };
const encoded = { "tls.crt": base64(SERVER.cert), "tls.key": base64(SERVER.key) };

describe("secrets", () => {
  it("are read from data and stringData; stringData wins", () => {
    const result = parse(secret({ data: { ...encoded, "ca.crt": "bm9uZQ==" }, stringData: { "ca.crt": AUTHORITY } }));
    expect(result.ok && result.model.secrets).toMatchObject([
      { certificate: SERVER.cert, privateKey: SERVER.key, clientCa: AUTHORITY },
    ]);
  });

  it.each([
    ["no key", { data: { "tls.crt": encoded["tls.crt"] } }, "tls.key is missing"],
    ["no base64", { data: { ...encoded, "tls.key": "%%%" } }, "this is not base64; Encode it, or use stringData."],
    ["a key that is none", { stringData: { ...pair, "tls.key": "x" } }, "tls.key: this is not a private key in PEM"],
    ["a certificate that is none", { stringData: { ...pair, "tls.crt": "x" } }, "tls.crt: there is no certificate"],
    [
      "an authority that is none",
      { stringData: { ...pair, "ca.crt": AUTHORITY.slice(0, 200) } },
      "ca.crt: there is no",
    ],
    ["another certificate's key", { stringData: { ...pair, "tls.key": ROTATED.key } }, "the key is not that of the"],
    ["a misspelled key", { stringData: { ...pair, "tls.cert": "x" } }, "Did you mean tls.crt?"],
  ])("%s", (_what, fields, expected) => {
    expect(errors(secret(fields))).toEqual([expect.stringContaining(expected)]);
  });

  it("keys that Envoy does not take are refused", () => {
    for (const key of [
      generateKeyPairSync("rsa", { modulusLength: 1_024 }).privateKey,
      generateKeyPairSync("ed25519").privateKey,
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }).privateKey,
    ]) {
      const pem = key.export({ type: "pkcs8", format: "pem" }) as string;
      expect(errors(secret({ stringData: { ...pair, "tls.key": pem } }))[0]).toContain("does not take keys of this");
    }
  });

  it("errors do not show what stands there", () => {
    const text = secret({
      data: { "tls.crt": "hunter2 hunter2", "tls.key": 12 },
      stringData: { "tls.key": "hunter2" },
    });
    expect(errors(text).join()).not.toContain("hunter2");
    expect(errors(secret({}, "Opaque"))[0]).toContain('"Opaque" is not one of kubernetes.io/tls');
  });
});

describe("servers", () => {
  it("with TLS name a Secret of their namespace", () => {
    expect(errors(gateway("tls: {credentialName: shop}, "), secret({ stringData: pair }))).toEqual([]);
    expect(errors(gateway("tls: {credentialName: shop}, "))).toEqual([
      expect.stringMatching(/^0\.yaml:5:\d+: TM_CONFIG_UNKNOWN_REFERENCE no Secret of type .* defines default\/shop/),
    ]);
    const elsewhere = secret({ metadata: { name: "shop", namespace: "other" }, stringData: pair });
    expect(errors(gateway("tls: {credentialName: shop}, "), elsewhere)).toHaveLength(1);
  });

  it("that ask for certificates need to know who signs them", () => {
    const mutual = gateway("tls: {mode: MUTUAL, credentialName: shop}, ");
    expect(errors(mutual, secret({ stringData: pair }))[0]).toContain("has no ca.crt");
    expect(errors(mutual, secret({ stringData: { ...pair, "ca.crt": AUTHORITY } }))).toEqual([]);
  });

  it("a Secret that cannot be read is one error, not two", () => {
    expect(errors(gateway("tls: {credentialName: shop}, "), secret({ stringData: {} }))).toHaveLength(1);
  });

  it.each([
    ["HTTPS without tls", gateway(""), "protocol HTTPS has no tls"],
    ["tls on HTTP", gateway("tls: {credentialName: shop}, ", "HTTP"), "protocol HTTP has tls"],
    [
      "a mode that is not there",
      gateway("tls: {mode: PASSTHROUGH, credentialName: shop}, "),
      "not one of SIMPLE, MUTUAL",
    ],
    ["files", gateway("tls: {serverCertificate: /x, credentialName: shop}, "), "Put certificate and key into a Secret"],
  ])("%s", (_what, text, expected) => {
    expect(errors(text, secret({ stringData: pair }))).toEqual([expect.stringContaining(expected)]);
  });
});
