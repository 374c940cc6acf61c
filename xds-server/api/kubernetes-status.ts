/** Errors in the form that clients of Kubernetes read: `kind: Status`. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
import type { ApiError } from "./api-error.ts";

const REASONS: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  409: "Conflict",
  413: "RequestEntityTooLarge",
  422: "Invalid",
  429: "TooManyRequests",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** @param subject of the path */
export function statusBody(
  error: ApiError,
  subject: { readonly plural?: string; readonly group?: string; readonly name?: string } = {},
): Readonly<Record<string, unknown>> {
  const { code, message, remedy, status, details } = error;
  const { plural, group, name } = subject;
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: `${code} ${message}; ${remedy}`,
    reason: REASONS[status] ?? "InternalError",
    details: {
      ...(name === undefined ? {} : { name }),
      ...(group === undefined ? {} : { group }),
      ...(plural === undefined ? {} : { kind: plural }),
      causes: details.map((each) => ({
        reason: each.code ?? code,
        message: [placeOf(each), each.message, each.remedy].filter((part) => part !== undefined).join("; "),
        ...(each.field === undefined ? {} : { field: each.field }),
      })),
    },
    code: status,
  };
}

function placeOf({ file, line, column, node }: ApiError["details"][number]): string | undefined {
  if (node !== undefined) return `Envoy ${node}`;
  return file === undefined ? undefined : `${file}:${line ?? 1}:${column ?? 1}`;
}

/** The answer to a removal. */
export function removedBody(plural: string, name: string): Readonly<Record<string, unknown>> {
  return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", details: { name, kind: plural } };
}
