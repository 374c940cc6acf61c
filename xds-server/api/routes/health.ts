/** `/livez` and `/healthz`: the process answers. `/readyz` and `/ready`: a configuration is served. */
import { Type } from "typebox";
import type { RouteContext, TypedApi } from "../api-server.ts";
import { described } from "../described.ts";
import { errorDetail } from "../schemas.ts";

const alive = Type.Object({ status: Type.Literal("ok") });
const readiness = Type.Object({
  ready: Type.Boolean(),
  configErrors: Type.Optional(Type.Array(errorDetail, { description: "only for those who may read them" })),
});

export function healthRoutes(api: TypedApi, { ports, mayRead }: RouteContext): void {
  for (const path of ["/livez", "/healthz"]) {
    const schema = { ...described("health", "The process answers", alive), security: [] };
    api.get(path, { schema }, async () => ({ status: "ok" }));
  }
  for (const path of ["/readyz", "/ready"]) {
    const schema = { ...described("health", "A configuration is served; 503 until then", readiness), security: [] };
    api.get(path, { schema }, async (request, reply) => {
      const ready = ports.control.loadedAt() !== undefined;
      const errors = mayRead(request) ? { configErrors: ports.control.errors() } : {};
      return reply.code(ready ? 200 : 503).send({ ready, ...errors });
    });
  }
}
