/** EnvoyResources of tokenmesh.io/v1alpha1: xDS resources as they are, in the JSON of their protos. */
import { isMap } from "yaml";
import { encodeAny, messageOf, type ProtoObject, TypeUrl } from "../../../protos/index.ts";
import { type Cursor, fail } from "../cursor.ts";
import type { EnvoyResource, EnvoyResourcesSpec } from "../model.ts";
import { protoAny, TYPE_FIELD, typeOf } from "../proto-reader.ts";
import { list, object, optional, placed, type Reader, required } from "../reader.ts";
import { duration, text } from "../scalars.ts";

/** What carries a resource in xDS itself: gives it a name of its own, other names, and a time to live. */
const WRAPPER = "envoy.service.discovery.v3.Resource";

/** Field that is a resource's name, by type. */
const NAME_FIELDS: Readonly<Record<TypeUrl, string>> = {
  [TypeUrl.cluster]: "name",
  [TypeUrl.endpoints]: "cluster_name",
  [TypeUrl.listener]: "name",
  [TypeUrl.route]: "name",
  [TypeUrl.extensionConfig]: "name",
  [TypeUrl.secret]: "name",
  [TypeUrl.scopedRoute]: "name",
  [TypeUrl.virtualHost]: "name",
  [TypeUrl.runtime]: "name",
};

const resourceName = text({ max: 2_048 });

interface Wrapper {
  readonly [TYPE_FIELD]: string;
  readonly name: string | undefined;
  readonly aliases: readonly string[] | undefined;
  readonly ttl: number | undefined;
  readonly resource: EnvoyResource;
}

const wrapper: Reader<Wrapper> = object<Wrapper>(
  {
    [TYPE_FIELD]: required(text()),
    name: optional(resourceName),
    aliases: optional(list(resourceName, { max: 100 })),
    ttl: optional(duration({ minMs: 1_000 })),
    resource: required((cursor) => plainResource(cursor)),
  },
  {
    unsupported: {
      version: "Remove version; it is a hash of the resource.",
      cache_control: "Remove cache_control.",
      resource_name: "Use name.",
      metadata: "Remove metadata.",
    },
  },
);

/** A mapping with `@type`, or one in a `envoy.service.discovery.v3.Resource`. */
const envoyResource: Reader<EnvoyResource> = (cursor) => {
  const { node } = cursor;
  const url: unknown = isMap(node) ? node.get(TYPE_FIELD) : undefined;
  if (typeof url !== "string" || messageOf(url) !== WRAPPER) return checked(cursor, plainResource(cursor));
  const read = wrapper(cursor);
  if (read === undefined) return undefined;
  const { resource, name = resource.name, aliases = [], ttl: ttlMs } = read;
  return checked(cursor, { ...resource, name, aliases, ttlMs });
};

function plainResource(cursor: Cursor): EnvoyResource | undefined {
  const message = typeOf(cursor);
  if (message === undefined) return undefined;
  const typeUrl = Object.values(TypeUrl).find((each) => messageOf(each) === message);
  if (typeUrl === undefined) {
    const remedy = `Use one of ${Object.values(TypeUrl).map(messageOf).join(", ")}.`;
    return fail(cursor, "TM_CONFIG_INVALID_VALUE", `${message} is not a type of xDS resources`, remedy);
  }
  const read = protoAny(cursor);
  if (read === undefined) return undefined;
  const { [TYPE_FIELD]: _type, ...fields } = read;
  const name = fields[NAME_FIELDS[typeUrl]];
  return { typeUrl, name: typeof name === "string" ? name : "", object: fields, aliases: [], ttlMs: undefined };
}

function checked(cursor: Cursor, resource: EnvoyResource | undefined): EnvoyResource | undefined {
  if (resource === undefined) return undefined;
  const { typeUrl, name, object: message } = resource;
  if (name === "")
    return fail(cursor, "TM_CONFIG_MISSING_FIELD", "the resource has no name", `Add ${NAME_FIELDS[typeUrl]}.`);
  if (typeUrl === TypeUrl.virtualHost && !name.includes("/")) {
    const remedy = `Put it into the field resource of a ${WRAPPER} whose name is ROUTE_CONFIGURATION/HOST.`;
    return fail(
      cursor,
      "TM_CONFIG_INVALID_VALUE",
      "a virtual host is asked for by the name of its route table and its own",
      remedy,
    );
  }
  const fault = encodingFault(typeUrl, message);
  if (fault !== undefined) return fail(cursor, "TM_CONFIG_INVALID_VALUE", fault);
  return placed(resource, cursor.position);
}

/** What the reader has let through and cannot be encoded. */
function encodingFault(typeUrl: TypeUrl, message: ProtoObject): string | undefined {
  try {
    encodeAny(typeUrl, message);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.slice(0, 300) : "it cannot be encoded";
  }
}

/** The spec of EnvoyResources. */
export const envoyResourcesSpec: Reader<EnvoyResourcesSpec> = object<EnvoyResourcesSpec>({
  nodeGroups: optional(list(text({ max: 253 }), { min: 1, max: 100 })),
  resources: required(list(envoyResource, { min: 1, max: 1_000 })),
});
