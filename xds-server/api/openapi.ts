/** The head of the OpenAPI document; paths and shapes come from the routes. */
import type { SwaggerOptions } from "@fastify/swagger";

export function openapiDocument(version: string): SwaggerOptions {
  return {
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, i) => (typeof $id === "string" ? $id : `shape-${i}`),
    },
    openapi: {
      openapi: "3.1.0",
      info: {
        title: "tokenmesh",
        version,
        description:
          "Admin API of the xDS management server: configuration documents, weights, state of the Envoys, registry of instances. Errors are described in docs/errors.md.",
      },
      tags: [
        { name: "health", description: "Probes; need no token" },
        { name: "state", description: "What is served, and what each Envoy has" },
        { name: "changes", description: "Configuration: check, compare, apply, go back" },
        { name: "weights", description: "Weights of endpoints at run time" },
        { name: "kinds", description: "Documents one by one, as Kubernetes addresses them" },
        { name: "registry", description: "Instances that register themselves" },
      ],
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
      security: [{ token: [] }],
    },
  };
}
