/** Words as a pattern of `ilike`: its own % and _ are letters. */
export const patternOf = (words: string): string => `%${words.replace(/[\\%_]/g, (sign) => `\\${sign}`)}%`;
