// Colours of lines: those of wait classes are fixed, others go by their place.

const CLASSES: Record<string, string> = {
  CPU: "--c-cpu",
  IO: "--c-io",
  Lock: "--c-lock",
  LWLock: "--c-lwlock",
  BufferPin: "--c-bufferpin",
  Client: "--c-client",
  IPC: "--c-ipc",
  Timeout: "--c-timeout",
  Activity: "--c-activity",
  Extension: "--c-extension",
};

export const isWaitClass = (label: string): boolean => label in CLASSES;

/** The order of a stack: processor first, then as they hurt. */
export const CLASS_ORDER = Object.keys(CLASSES);

export function colorName(label: string, place: number): string {
  return CLASSES[label] ?? (/^\d+ others$/.test(label) ? "--c-rest" : `--c-${(place % 8) + 1}`);
}

/** What a variable of the style is now. */
export const resolved = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
