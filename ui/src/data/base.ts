/** Where the UI is mounted, with a slash at its end: the bundle lies in `assets/` below it. */
export const base: string = import.meta.env.DEV || import.meta.env.MODE === "test" ? "/" : new URL(/* @vite-ignore */ "..", import.meta.url).pathname;
