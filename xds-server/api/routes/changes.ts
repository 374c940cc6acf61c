/** `POST /api/v1/validate | diff | apply | rollback`, and purging the prompt cache. */
import { Type } from "typebox";
import { ApiError, configDetails, type ErrorDetail, refuseInvalid } from "../api-error.ts";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import { isObject, type ReadBody, readBody } from "../document-body.ts";
import { MAX_BATCH_BYTES } from "../limits.ts";
import { anything, appliedAnswer, diffAnswer, rollbackAnswer, validateAnswer, waitQuery } from "../schemas.ts";
import { waitOf } from "../waiting.ts";

/** What errors call the place of documents that came without the name of a file. */
const BODY = "body";

const documents = Type.String({
  description:
    'YAML (one document or several), JSON (a document, an array, or kind List), or {"files": [{"file": NAME, "text": TEXT}]}',
});

export function changeRoutes(api: TypedApi, { ports, changes }: RouteContext): void {
  const { control } = ports;
  const bodyLimit = MAX_BATCH_BYTES;
  // Of every type: curl says that it sends a form when it is not told otherwise.
  api.removeAllContentTypeParsers();
  api.addContentTypeParser("*", { parseAs: "string", bodyLimit }, (_request, body, done) => done(null, body));

  const validate = described("changes", "Check documents together with all that is in force", validateAnswer);
  api.post("/api/v1/validate", { schema: { ...validate, body: documents }, bodyLimit }, async ({ body }) => {
    const read = faultsOrBody(body);
    if ("faults" in read) return { valid: false, documents: 0, errors: read.faults, warnings: [] };
    const { errors, warnings } = control.check({ put: read.sources, remove: [] });
    return {
      valid: errors.length === 0,
      documents: read.documents.length,
      errors: configDetails(errors),
      warnings: configDetails(warnings),
    };
  });

  const diff = described("changes", "What documents would change, by group and type", diffAnswer, [422]);
  api.post("/api/v1/diff", { schema: { ...diff, body: documents }, bodyLimit }, async ({ body }) => {
    const change = { put: readBody(body, BODY).sources, remove: [] };
    refuseInvalid(control.check(change).errors);
    return { groups: control.diff(change) };
  });

  const apply = {
    ...described("changes", "Add or replace documents, all or none", appliedAnswer, [409, 422, 504]),
    body: documents,
    querystring: waitQuery,
  };
  api.post("/api/v1/apply", { schema: apply, bodyLimit }, async (request) => {
    const wait = waitOf(request);
    const read = readBody(request.body, BODY);
    if (read.documents.length === 0) throw new ApiError("TM_API_BAD_REQUEST", "the body holds no document");
    return changes.put(read, wait);
  });

  const rollback = {
    ...described("changes", "Go back to the last snapshot that all Envoys of a group accepted", rollbackAnswer, [409]),
    body: Type.Union([Type.String({ description: '{"group": NAME}; `default` when absent' }), Type.Null()]),
  };
  api.post("/api/v1/rollback", { schema: rollback }, async ({ body }) => {
    const group = groupOf(body);
    return changes.other(async () => {
      const outcome = control.rollback(group);
      if (!outcome.ok) throw new ApiError("TM_ROLLBACK_UNAVAILABLE", outcome.message);
      return { group, version: outcome.version };
    });
  });

  api.register(async (scope) => {
    // The cache reads the body and judges the caller itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
    const schema = described("changes", "Drop answers of the prompt cache", anything);
    scope.post("/cache/purge", { schema }, async (request, reply) => {
      const { status, value } = await ports.purgeCache(request.raw);
      // What it did not read of a body would be taken for the next request.
      return reply.code(status).header("connection", "close").send(value);
    });
  });
}

function groupOf(body: string | null | undefined): string {
  if ((body ?? "").trim() === "") return "default";
  try {
    const value: unknown = JSON.parse(body ?? "");
    const { group = "default", ...others } = isObject(value) ? value : { group: undefined, value };
    if (typeof group === "string" && group.length <= 253 && Object.keys(others).length === 0) return group;
  } catch {
    // Answered below.
  }
  throw new ApiError("TM_API_BAD_REQUEST", 'the body is not {"group": NAME}');
}

/** Faults of syntax are what validation is asked for, so they are no error of the request. */
function faultsOrBody(body: string): ReadBody | { readonly faults: readonly ErrorDetail[] } {
  try {
    return readBody(body, BODY);
  } catch (error) {
    if (error instanceof ApiError && error.code === "TM_API_INVALID") return { faults: error.details };
    throw error;
  }
}
