/** Retry policies of routes: `RetryPolicy` in `envoy/config/route/v3/route_components.proto`. */
import type { ProtoObject } from "../../protos/index.ts";
import type { Retries } from "../config/model.ts";
import { any, protoDuration, wrapped } from "./proto-values.ts";

/** As Istio: safe conditions only, where the upstream has not begun to work on the request. */
export const DEFAULT_RETRY: Retries = {
  attempts: 2,
  perTryTimeout: undefined,
  retryOn: "connect-failure,refused-stream,unavailable,cancelled",
};

/** Statuses a retryOn list may name by number; Envoy takes them apart from the condition names. */
const STATUS_CODE = /^[1-5]\d\d$/;

export function retryPolicy({ attempts, perTryTimeout, retryOn }: Retries): ProtoObject | undefined {
  if (attempts === 0) return undefined;
  const conditions = (retryOn ?? DEFAULT_RETRY.retryOn ?? "").split(",").map((each) => each.trim());
  const codes = conditions.filter((each) => STATUS_CODE.test(each));
  const names = conditions.filter((each) => !STATUS_CODE.test(each));
  if (codes.length > 0 && !names.includes("retriable-status-codes")) names.push("retriable-status-codes");
  return {
    retry_on: names.join(","),
    num_retries: wrapped(attempts),
    per_try_timeout: perTryTimeout === undefined ? undefined : protoDuration(perTryTimeout),
    retriable_status_codes: codes.length > 0 ? codes.map(Number) : undefined,
    // Another try goes to another endpoint where there is one.
    retry_host_predicate: [
      {
        name: "envoy.retry_host_predicates.previous_hosts",
        typed_config: any("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
      },
    ],
    host_selection_retry_max_attempts: 5,
  };
}
