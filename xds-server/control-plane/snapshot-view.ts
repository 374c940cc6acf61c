/** The served snapshot as JSON for people: every resource decoded, secrets hidden, long bytes (Wasm code) replaced by their size and hash. */
import { toJson } from "../../protos/index.ts";
import {
  contentHash,
  PUSH_ORDER,
  type Resource,
  type Snapshot,
  TYPE_NAMES,
  typeSnapshot,
  withoutSecrets,
} from "../cache/index.ts";

/** Texts longer than this are shown as size and hash. */
const MAX_TEXT = 4_096;

export function snapshotView(snapshot: Snapshot | undefined): unknown {
  if (snapshot === undefined) return null;
  const types: Record<string, unknown> = {};
  for (const typeUrl of PUSH_ORDER) {
    const { version, resources } = typeSnapshot(snapshot, typeUrl);
    types[TYPE_NAMES[typeUrl]] = { version, resources: [...resources.values()].map(resourceView) };
  }
  return { version: snapshot.version, types };
}

function resourceView({ name, version, any, typeUrl, secrets = [] }: Resource): unknown {
  const show = (text: string): string => shortened(secrets.length > 0 ? withoutSecrets(text, secrets) : text);
  return { name, version, resource: mapTexts(toJson("google.protobuf.Any", any), show), type: typeUrl };
}

function shortened(text: string): string {
  return text.length <= MAX_TEXT ? text : `(${text.length} characters, sha256 ${contentHash(text)}...)`;
}

function mapTexts(value: unknown, show: (text: string) => string): unknown {
  if (typeof value === "string") return show(value);
  if (Array.isArray(value)) return value.map((each) => mapTexts(each, show));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, mapTexts(each, show)]));
}
