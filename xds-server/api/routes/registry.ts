/** The registry of instances over HTTP. What a request means is the registry's matter; here are the paths. */
import { Type } from "typebox";
import { ApiError } from "../api-error.ts";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import type { RegistryAnswer, RegistryPort } from "../ports.ts";
import { anything, instanceBody } from "../schemas.ts";

const ROOT = "/api/v1/registry/services";

const NONE: RegistryPort = new Proxy({} as RegistryPort, {
  get: () => () => {
    throw new ApiError("TM_API_NOT_FOUND", "this server has no registry");
  },
});

export function registryRoutes(api: TypedApi, { ports: { registry = NONE } }: RouteContext): void {
  const service = Type.Object({ service: Type.String({ maxLength: 253 }) });
  const instance = Type.Object({ service: Type.String({ maxLength: 253 }), id: Type.String({ maxLength: 253 }) });
  const schema = (summary: string) => described("registry", summary, anything, [400, 404]);

  const all = schema("Services that have instances");
  api.get(ROOT, { schema: all }, async (_request, reply) => send(reply, await registry.services({})));
  const one = { ...schema("Instances of a service"), params: service };
  for (const path of [`${ROOT}/:service`, `${ROOT}/:service/instances`])
    api.get(path, { schema: one }, async ({ params }, reply) => send(reply, await registry.service(params)));

  const path = `${ROOT}/:service/instances/:id`;
  const get = { ...schema("An instance"), params: instance };
  api.get(path, { schema: get }, async ({ params }, reply) => send(reply, await registry.instance(params)));
  const put = { ...schema("Register an instance, or change it"), params: instance, body: instanceBody };
  api.put(path, { schema: put }, async ({ params, body }, reply) =>
    send(reply, await registry.register({ ...params, body })),
  );
  const beat = { ...schema("The instance lives: to be told well within its ttl"), params: instance, body: anything };
  const beats = `${path}/heartbeat`;
  api.post(beats, { schema: beat }, async ({ params, body }, reply) => {
    return send(
      reply,
      await registry.heartbeat({ ...params, ...(body === undefined || body === null ? {} : { body }) }),
    );
  });
  const remove = { ...schema("Deregister an instance"), params: instance };
  api.delete(path, { schema: remove }, async ({ params }, reply) => send(reply, await registry.deregister(params)));
}

function send(
  reply: { code(status: number): { send(body: unknown): unknown } },
  { status, body }: RegistryAnswer,
): unknown {
  return reply.code(status).send(body);
}
