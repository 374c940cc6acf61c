/**
 * What the admin API does with requests for the registry: from what was asked to a status and a JSON body. Who may ask, how large a body may be and how it is
 * parsed is the API's.
 *
 * | request                                  | answer |
 * |------------------------------------------|--------|
 * | PUT services/S/instances/I               | 201 registered, 200 changed or the same again; the instance |
 * | PUT services/S/instances/I/heartbeat     | 200; 404 when it has to register again. Body: nothing, or {"health": ...} |
 * | DELETE services/S/instances/I            | 200; 404 when it was not there |
 * | GET services, services/S, .../I          | 200; 404 for an instance that is not there. A service without instances has none: 200 |
 */
import { ERRORS, type ErrorCode, ServerError } from "../../errors.ts";
import { StoreError } from "../../state/store-error.ts";
import { isInstanceId, isServiceName, readHealth, readInstance } from "./instance.ts";
import type { RegisteredInstance, Registry } from "./registry.ts";

export interface RegistryRequest {
  readonly service: string;
  readonly id: string;
  /** Parsed JSON; undefined for none. */
  readonly body?: unknown;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly body: unknown;
}

type Handler<Request> = (request: Request) => Promise<RegistryAnswer>;

export interface RegistryHandlers {
  readonly register: Handler<RegistryRequest>;
  readonly heartbeat: Handler<RegistryRequest>;
  readonly deregister: Handler<RegistryRequest>;
  readonly instance: Handler<RegistryRequest>;
  readonly service: Handler<Pick<RegistryRequest, "service">>;
  readonly services: Handler<object>;
}

/** None of them rejects, whatever the request is. */
export function registryHandlers(registry: Registry): RegistryHandlers {
  const shown = (service: string, instance: RegisteredInstance) => ({
    service,
    ...instance,
    expiresInMs: registry.remainingMs(service, instance.id),
  });
  const answered = (service: string, id: string, status: number): RegistryAnswer => {
    const instance = registry.instance(service, id);
    return instance === undefined ? unknown(service, id) : { status, body: shown(service, instance) };
  };
  return {
    register: guarded(async ({ service, id, body }) => {
      checkNames(service, id);
      const outcome = await registry.register(service, id, readInstance(body));
      return answered(service, id, outcome === "created" ? 201 : 200);
    }),
    heartbeat: guarded(async ({ service, id, body }) => {
      checkNames(service, id);
      const known = await registry.heartbeat(service, id, healthIn(body));
      return known ? answered(service, id, 200) : unknown(service, id);
    }),
    deregister: guarded(async ({ service, id }) => {
      checkNames(service, id);
      const known = await registry.deregister(service, id);
      return known ? { status: 200, body: { service, id } } : unknown(service, id);
    }),
    instance: guarded(async ({ service, id }) => {
      checkNames(service, id);
      return answered(service, id, 200);
    }),
    service: guarded(async ({ service }) => {
      checkNames(service);
      const instances = registry.instances(service).map((instance) => shown(service, instance));
      return { status: 200, body: { service, instances } };
    }),
    services: guarded(async () => {
      const services = [...registry.services()].sort(([a], [b]) => (a < b ? -1 : 1));
      return { status: 200, body: { services: services.map(([service, instances]) => ({ service, instances })) } };
    }),
  };
}

const STATUS: Partial<Readonly<Record<ErrorCode, number>>> = {
  TM_REGISTRY_INVALID: 400,
  TM_REGISTRY_UNKNOWN: 404,
  TM_REGISTRY_FULL: 507,
  TM_STORE_UNAVAILABLE: 503,
};

function guarded<Request>(handler: Handler<Request>): Handler<Request> {
  return async (request) => {
    try {
      return await handler(request);
    } catch (error) {
      if (error instanceof StoreError) return failure("TM_STORE_UNAVAILABLE", error.message);
      if (error instanceof ServerError && STATUS[error.code] !== undefined) return failure(error.code, textOf(error));
      return failure("TM_INTERNAL", error instanceof Error ? error.message : String(error));
    }
  };
}

function failure(code: ErrorCode, message: string): RegistryAnswer {
  return { status: STATUS[code] ?? 500, body: { error: { code, message, remedy: ERRORS[code].remedy, details: [] } } };
}

/** Without the code before it and the remedy behind it, which have their own places. */
const textOf = ({ code, message }: ServerError): string =>
  message.slice(code.length + 1, message.length - ERRORS[code].remedy.length - 2);

const unknown = (service: string, id: string): RegistryAnswer =>
  failure("TM_REGISTRY_UNKNOWN", `${service} has no instance ${id}`);

/** @throws ServerError TM_REGISTRY_INVALID */
function checkNames(service: string, id?: string): void {
  if (!isServiceName(service)) throw new ServerError("TM_REGISTRY_INVALID", "the service's name is none");
  if (id !== undefined && !isInstanceId(id)) throw new ServerError("TM_REGISTRY_INVALID", "the instance's id is none");
}

/** @throws ServerError TM_REGISTRY_INVALID */
function healthIn(body: unknown) {
  if (body === undefined || body === null) return undefined;
  const entries = typeof body === "object" && !Array.isArray(body) ? Object.entries(body) : undefined;
  if (entries === undefined || entries.some(([field]) => field !== "health"))
    throw new ServerError("TM_REGISTRY_INVALID", "a heartbeat's body has other fields than health");
  return entries[0] === undefined ? undefined : readHealth(entries[0][1]);
}
