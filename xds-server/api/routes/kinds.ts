/** Documents one by one, as Kubernetes addresses them: GET, PUT, DELETE and lists under `/apis/GROUP/VERSION` and, for kinds of no group, `/api/v1`. */
import { Type } from "typebox";
import { ApiError } from "../api-error.ts";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import { isObject, plainDocuments, readBody } from "../document-body.ts";
import { identityOf, type KindAddress, kindAt } from "../kind-paths.ts";
import { removedBody } from "../kubernetes-status.ts";
import { MAX_DOCUMENT_BYTES } from "../limits.ts";
import { anything, waitQuery } from "../schemas.ts";
import { shownDocument } from "../shown-document.ts";
import { waitOf } from "../waiting.ts";

interface KindParams {
  readonly group?: string;
  readonly version: string;
  readonly plural: string;
  readonly namespace?: string;
}

const segment = Type.String({ maxLength: 253 });
const closed = { additionalProperties: false };

export function kindRoutes(api: TypedApi, context: RouteContext): void {
  const bodyLimit = MAX_DOCUMENT_BYTES;
  api.removeAllContentTypeParsers();
  api.addContentTypeParser("*", { parseAs: "string", bodyLimit }, (_request, body, done) => done(null, body));
  routesUnder(api, "/apis/:group/:version", { group: segment, version: segment }, context);
  routesUnder(api, "/api/:version", { version: Type.Literal("v1") }, context);
}

function routesUnder(api: TypedApi, root: string, params: object, { ports, changes }: RouteContext): void {
  const { control } = ports;
  const bodyLimit = MAX_DOCUMENT_BYTES;
  const address = ({ group = "", version, plural }: KindParams): KindAddress => {
    const found = kindAt(control.kinds(), group, version, plural);
    if (found !== undefined) return found;
    throw new ApiError(
      "TM_API_NOT_FOUND",
      `no kind of ${group === "" ? "" : `${group}/`}${version} is called ${plural}`,
    );
  };
  const list = (request: KindParams) => {
    const { kind, apiVersion } = address(request);
    const items = [...control.documents().values()]
      .filter(({ identity }) =>
        identity.startsWith(`${kind}/${request.namespace === undefined ? "" : `${request.namespace}/`}`),
      )
      .sort((a, b) => (a.identity < b.identity ? -1 : 1))
      .map((document) => shownDocument(document, apiVersion));
    return { apiVersion, kind: `${kind}List`, metadata: {}, items };
  };
  const schema = (summary: string, more: object = {}) => ({
    ...described("kinds", summary, anything),
    params: Type.Object({ ...params, plural: segment, ...more }),
  });
  const inNamespace = `${root}/namespaces/:namespace/:plural`;

  if (root.startsWith("/apis"))
    api.get(`${root}/:plural`, { schema: schema("Documents of a kind") }, async ({ params }) =>
      list(params as KindParams),
    );
  const within = schema("Documents of a kind in a namespace", { namespace: segment });
  api.get(inNamespace, { schema: within }, async ({ params }) => list(params as KindParams));

  const path = `${inNamespace}/:name`;
  const named = { namespace: segment, name: segment };
  type Named = KindParams & { readonly namespace: string; readonly name: string };

  api.get(path, { schema: schema("A document", named) }, async ({ params }) => {
    const { namespace, name, ...rest } = params as Named;
    const { kind, apiVersion } = address(rest);
    const document = control.documents().get(identityOf(kind, namespace, name));
    if (document === undefined) throw new ApiError("TM_API_NOT_FOUND", `there is no ${kind} ${namespace}/${name}`);
    return shownDocument(document, apiVersion);
  });

  const put = {
    ...schema("Add or replace a document; answered when it is in force here", named),
    querystring: waitQuery,
  };
  api.put(path, { schema: { ...put, body: Type.String() }, bodyLimit }, async (request, reply) => {
    const wait = waitOf(request);
    const { namespace, name, ...rest } = request.params as Named;
    const { kind, apiVersion } = address(rest);
    const identity = identityOf(kind, namespace, name);
    const completed = complete(request.body, { kind, apiVersion, namespace, name });
    const applied = await changes.put(readBody(completed, identity), wait);
    const document = control.documents().get(identity);
    if (document === undefined) throw new ApiError("TM_API_CONFLICT", `${identity} was removed at the same time`);
    const created = applied.documents[0]?.result === "created";
    return reply.code(created ? 201 : 200).send(shownDocument(document, apiVersion));
  });

  const version = Type.Object({ ...waitQuery.properties, resourceVersion: Type.Optional(segment) }, closed);
  const remove = { ...schema("Remove a document of the API", named), querystring: version };
  api.delete(path, { schema: remove, bodyLimit }, async (request) => {
    const wait = waitOf(request);
    const { namespace, name, ...rest } = request.params as Named;
    const { kind, plural } = address(rest);
    await changes.remove(identityOf(kind, namespace, name), request.query.resourceVersion, wait);
    return removedBody(plural, name);
  });
}

/**
 * The text of a body with what the path says filled in where it says nothing.
 * @throws ApiError TM_API_BAD_REQUEST where it says something else
 */
function complete(body: string, path: { kind: string; apiVersion: string; namespace: string; name: string }): string {
  const [first, ...others] = plainDocuments([{ file: identityOf(path.kind, path.namespace, path.name), text: body }]);
  const value = first?.value;
  if (value === undefined || others.length > 0)
    throw new ApiError("TM_API_BAD_REQUEST", "the body is not one document");
  const { apiVersion = path.apiVersion, kind = path.kind } = value;
  const metadata = isObject(value.metadata) ? value.metadata : {};
  const { name = path.name, namespace = path.namespace } = metadata;
  const said = { kind, apiVersion, namespace, name };
  for (const [key, expected] of Object.entries(path)) {
    const given = said[key as keyof typeof said];
    if (given !== expected)
      throw new ApiError(
        "TM_API_BAD_REQUEST",
        `${key} is ${JSON.stringify(given)?.slice(0, 100)} in the body and ${expected} in the path`,
      );
  }
  const same = value.apiVersion !== undefined && value.kind !== undefined && metadata.name !== undefined;
  // As it was sent where that is enough, so that errors have its lines.
  if (same && (metadata.namespace !== undefined || path.namespace === "default")) return body;
  return JSON.stringify({ ...value, apiVersion, kind, metadata: { ...metadata, name, namespace } }, undefined, 2);
}
