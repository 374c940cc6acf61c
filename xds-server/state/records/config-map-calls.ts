/** Calls to the API server for the ConfigMaps of one namespace, bounded in number and time. What the server refuses for the reason that is expected is a value. */
import { ApiClient, ApiError, type CallOptions, type Cluster, type RawObject } from "../../kubernetes/index.ts";
import { StoreError } from "../store-error.ts";
import { RECORDS } from "./config-map.ts";
import { CONFIG_MAPS_PER_PAGE, MAX_KUBERNETES_CALLS } from "./limits.ts";

type Refusal = "NotFound" | "AlreadyExists" | "Conflict" | "Expired";

export class ConfigMapCalls {
  /** Of the collection. */
  readonly path: string;
  readonly client: ApiClient;
  #inFlight = 0;
  #closed = false;

  /** @param timeoutMs for one call */
  constructor(cluster: Cluster, namespace: string, timeoutMs: number) {
    this.path = `/api/v1/namespaces/${namespace}/configmaps`;
    this.client = new ApiClient(cluster, timeoutMs);
  }

  /** undefined: there is none. @throws StoreError */
  get(name: string): Promise<RawObject | undefined> {
    return this.#unless("NotFound", this.#call("GET", `${this.path}/${name}`));
  }

  /** undefined: there is one of that name. @throws StoreError */
  create(body: RawObject): Promise<RawObject | undefined> {
    return this.#unless("AlreadyExists", this.#call("POST", this.path, { body }));
  }

  /** undefined: it has another resourceVersion than that of the body, if that has one, or is not there. @throws StoreError */
  replace(body: RawObject): Promise<RawObject | undefined> {
    const { name } = body.metadata as { readonly name: string };
    return this.#unless("Conflict", this.#call("PUT", `${this.path}/${name}`, { body }));
  }

  /** undefined: it has another resourceVersion, or is not there. @throws StoreError */
  remove(name: string, resourceVersion?: string): Promise<RawObject | undefined> {
    const preconditions = resourceVersion === undefined ? {} : { preconditions: { resourceVersion } };
    const body = { apiVersion: "v1", kind: "DeleteOptions", ...preconditions };
    return this.#unless("Conflict", this.#call("DELETE", `${this.path}/${name}`, { body }));
  }

  /** All that are ours, as they are at one time; undefined when that time was forgotten before the last page was read. @throws StoreError */
  async list(): Promise<readonly RawObject[] | undefined> {
    const found: RawObject[] = [];
    let next: string | undefined;
    do {
      const query = { labelSelector: RECORDS, limit: CONFIG_MAPS_PER_PAGE, continue: next };
      const page = await this.#unless("Expired", this.#call("GET", this.path, { query }));
      if (page === undefined) return undefined;
      for (const item of Array.isArray(page.items) ? page.items : []) found.push((item ?? {}) as RawObject);
      const { continue: more } = (page.metadata ?? {}) as RawObject;
      next = typeof more === "string" && more !== "" ? more : undefined;
    } while (next !== undefined);
    return found;
  }

  close(): void {
    this.#closed = true;
    this.client.close();
  }

  /** @throws StoreError */
  check(): void {
    if (this.#closed) throw new StoreError("unavailable", "the store is closed");
  }

  /** undefined when the API server refuses for this reason; for a change, what is not there cannot be of the version that was expected either. */
  async #unless(reason: Refusal, call: Promise<unknown>): Promise<RawObject | undefined> {
    try {
      return ((await call) ?? {}) as RawObject;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.reason === reason || (reason === "Conflict" && error.reason === "NotFound")) return undefined;
      throw failure(error);
    }
  }

  /** @throws ApiError; StoreError when this side refuses */
  async #call(method: "GET" | "POST" | "PUT" | "DELETE", path: string, options: CallOptions = {}): Promise<unknown> {
    this.check();
    if (this.#inFlight >= MAX_KUBERNETES_CALLS)
      throw new StoreError("busy", `${MAX_KUBERNETES_CALLS} calls to the API server are under way`);
    this.#inFlight++;
    try {
      return await this.client.call(method, path, options);
    } finally {
      this.#inFlight--;
    }
  }
}

export function failure(error: ApiError): StoreError {
  const { fault, status, message } = error;
  const refused = fault === "status" && status !== 429 && status < 500;
  const reason =
    status === 429 ? "busy" : refused || fault === "malformed" || fault === "too_large" ? "failed" : "unavailable";
  return new StoreError(reason, message, { cause: error });
}
