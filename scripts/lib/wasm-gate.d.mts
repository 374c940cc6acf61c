export interface FunctionType {
  params?: string[];
  results?: string[];
}
export interface ModuleReport {
  size: number;
  imports: ({ module: string; name: string; kind: string } & FunctionType)[];
  exports: ({ name: string; kind: string } & FunctionType)[];
  sections: { id: number; name: string; size: number }[];
  hasStart: boolean;
  customSections: string[];
  memory: { min: number; max: number | undefined } | undefined;
}
export const hostFunctions: ReadonlyMap<string, string>;
export const wasiFunctions: ReadonlyMap<string, string>;
export const wasiModules: readonly string[];
export const moduleCallbacks: ReadonlyMap<string, string>;
export const abiMarker: string;
export const maxModuleBytes: number;
export const maxMemoryPages: number;
export function inspect(buffer: Uint8Array | ArrayBuffer): ModuleReport;
export function violations(report: ModuleReport): string[];
