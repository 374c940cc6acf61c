/** Secret of v1, of type kubernetes.io/tls: https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { type Cursor, fail } from "../cursor.ts";
import type { Metadata, Secret } from "../model.ts";
import { object, optional, positionOf, type Reader, required } from "../reader.ts";
import { boolean, oneOf, text } from "../scalars.ts";

/** Enough for a long chain; Kubernetes takes 1 MiB for all. */
const MAX_BYTES = 256 * 1024;
const KEYS = ["tls.crt", "tls.key", "ca.crt"] as const;

type Data = { readonly [K in (typeof KEYS)[number]]: string | undefined };

const plainText = text({ max: MAX_BYTES, secret: true, multiline: true });

const base64Text: Reader<string> = (cursor) => {
  const value = text({ max: MAX_BYTES * 2, secret: true, multiline: true })(cursor);
  if (value === undefined) return undefined;
  const digits = value.replace(/\s/g, "");
  if (/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(digits))
    return Buffer.from(digits, "base64").toString("utf8");
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not base64", "Encode it, or use stringData.");
};

const dataOf = (value: Reader<string>): Reader<Data> =>
  object<Data>({ "tls.crt": optional(value), "tls.key": optional(value), "ca.crt": optional(value) });

interface Fields {
  readonly type: "kubernetes.io/tls";
  readonly data: Data | undefined;
  readonly stringData: Data | undefined;
  readonly immutable: boolean | undefined;
}

/** The fields of the document besides those that all have. */
export const secretFields = {
  type: required(oneOf(["kubernetes.io/tls"])),
  data: optional(dataOf(base64Text)),
  stringData: optional(dataOf(plainText)),
  immutable: optional(boolean),
} as const;

/** The document as a Secret; undefined when Envoy could not use what is in it. */
export function secretOf(cursor: Cursor, document: Fields & { readonly metadata: Metadata }): Secret | undefined {
  const { data, stringData, metadata } = document;
  // As in Kubernetes, stringData wins.
  const value = (key: keyof Data) => stringData?.[key] ?? data?.[key];
  const at = (key: keyof Data): Cursor => {
    const holder = stringData?.[key] === undefined ? data : stringData;
    return { ...cursor, path: key, position: holder === undefined ? cursor.position : positionOf(holder, key) };
  };
  const [certificate, privateKey, clientCa] = KEYS.map(value);
  if (certificate === undefined || privateKey === undefined) {
    const missing = certificate === undefined ? "tls.crt" : "tls.key";
    return fail(cursor, "TM_CONFIG_MISSING_FIELD", `${missing} is missing`, `Add ${missing} to data or stringData.`);
  }
  const own = certificatesOf(at("tls.crt"), certificate)?.[0];
  const isCaUsable = clientCa === undefined || certificatesOf(at("ca.crt"), clientCa) !== undefined;
  const key = keyOf(at("tls.key"), privateKey);
  if (own === undefined || key === undefined || !isCaUsable) return undefined;
  if (!own.checkPrivateKey(key)) {
    return fail(at("tls.key"), "TM_CONFIG_CONFLICT", "the key is not that of the first certificate in tls.crt");
  }
  return { metadata, certificate, privateKey, clientCa };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function certificatesOf(cursor: Cursor, pem: string): readonly X509Certificate[] | undefined {
  const blocks = pem.match(CERTIFICATE) ?? [];
  try {
    const certificates = blocks.map((block) => new X509Certificate(block));
    if (certificates.length > 0) return certificates;
  } catch {
    // The same as none.
  }
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "there is no certificate in PEM, or one that cannot be read");
}

const CURVES = ["prime256v1", "secp384r1", "secp521r1"];

/** A key that Envoy takes. */
function keyOf(cursor: Cursor, pem: string): KeyObject | undefined {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", "this is not a private key in PEM without a password");
  }
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa" && modulusLength >= 2_048) return key;
  if (key.asymmetricKeyType === "ec" && CURVES.includes(namedCurve)) return key;
  const remedy = "Use an RSA key of at least 2,048 bits, or one of the curve P-256, P-384 or P-521.";
  return fail(cursor, "TM_CONFIG_INVALID_VALUE", "Envoy does not take keys of this kind", remedy);
}
