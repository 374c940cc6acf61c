/** Fills the YAML templates of envoy/stack/config: `${NAME}` becomes a number that is known only after the replicas have started. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

const PLACEHOLDER = /\$\{([A-Z0-9_]+)\}/g;

/** The text with every placeholder filled; throws when one has no value, because the YAML would be read as something else. */
export function fillTemplate(text: string, values: Readonly<Record<string, number>>): string {
  return text.replace(PLACEHOLDER, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`no value for \${${name}} in a configuration template`);
    return String(value);
  });
}

/** Writes every template of `from` into the folder `to` under the same name. */
export async function writeConfig(from: string, to: string, values: Readonly<Record<string, number>>): Promise<void> {
  for (const name of await readdir(from)) {
    if (!name.endsWith(".yaml")) continue;
    await writeFile(join(to, name), fillTemplate(await readFile(join(from, name), "utf8"), values));
  }
}
