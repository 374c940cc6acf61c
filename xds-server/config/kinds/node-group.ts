/** NodeGroup of tokenmesh.io/v1alpha1. */
import { TypeUrl } from "../../../protos/index.ts";
import { fail } from "../cursor.ts";
import type { NodeGroupSpec, NodeLocality, NodeMatch } from "../model.ts";
import { list, map, object, optional, type Reader, withDefault } from "../reader.ts";
import { text } from "../scalars.ts";
import { labels } from "./metadata.ts";

/** A `*` anywhere else would look like a pattern and be none. */
const nodePattern = text({
  max: 512,
  pattern: /^[^*]*\*?$/,
  what: "a text, or the beginning of one with a * behind it",
});

const nodeLocality: Reader<NodeLocality> = object<NodeLocality>({
  region: optional(nodePattern),
  zone: optional(nodePattern),
  subZone: optional(nodePattern),
});

/** Every dot may be one of a key or one between keys, so each doubles what has to be looked at. */
const METADATA_PATH = { pattern: /^[^.]+(\.[^.]+){0,7}$/, what: "a path of at most 8 parts with dots between them" };

/** A type that is not served would be a misspelt one, and never match. */
const served = Object.values(TypeUrl).map((typeUrl) => typeUrl.replaceAll(".", "\\."));
const PARAMETER = {
  pattern: new RegExp(`^((${served.join("|")})/.+|(?!type\\.googleapis\\.com/).+)$`, "s"),
  what: "the name of a parameter, or the URL of a type that is served, / and a name",
};

const fields = object<NodeMatch>({
  id: optional(nodePattern),
  cluster: optional(nodePattern),
  locality: optional(nodeLocality),
  metadata: optional(map(nodePattern, { min: 1, max: 64, key: METADATA_PATH })),
  dynamicParameters: optional(map(nodePattern, { min: 1, max: 64, key: PARAMETER })),
});

const nodeMatch: Reader<NodeMatch> = (cursor) => {
  const match = fields(cursor);
  if (match === undefined) return undefined;
  const { id, cluster, locality, metadata, dynamicParameters } = match;
  const parts = [id, cluster, locality?.region, locality?.zone, locality?.subZone, metadata, dynamicParameters];
  if (parts.some((each) => each !== undefined)) return match;
  return fail(
    cursor,
    "TM_CONFIG_MISSING_FIELD",
    "says nothing about Envoys",
    "Add id, cluster, locality, metadata or dynamicParameters; Envoys that no group matches are in the group default.",
  );
};

/** The spec of a NodeGroup. */
export const nodeGroupSpec: Reader<NodeGroupSpec> = object<NodeGroupSpec>({
  match: withDefault(list(nodeMatch, { max: 100 }), []),
  labels: withDefault(labels, new Map()),
});
