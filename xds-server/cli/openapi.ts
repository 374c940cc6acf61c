/** `tokenmesh openapi`: the document that a server answers at /openapi.json, without a server. */
import type { Command } from "commander";

/** Adds `openapi`. @param version of the program */
export function addOpenapiCommand(program: Command, version: string): void {
  program
    .command("openapi")
    .description("print the OpenAPI document of the admin API")
    .action(async () => {
      const { openapiText } = await import("../api/openapi-text.ts");
      process.stdout.write(await openapiText(version));
    });
}
