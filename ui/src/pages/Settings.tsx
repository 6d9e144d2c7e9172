import type { ReactNode } from "react";
import { type Settings, change, useSettings } from "../data/settings";

interface ChoiceProps<K extends keyof Settings> {
  title: string;
  name: K;
  words: [Settings[K], string][];
}

function Choice<K extends keyof Settings>({ title, name, words }: ChoiceProps<K>): ReactNode {
  const settings = useSettings();
  return (
    <fieldset className="panel">
      <legend><h2>{title}</h2></legend>
      {words.map(([value, label]) => (
        <label key={label}>
          <input type="radio" name={name} checked={settings[name] === value} onChange={() => change({ [name]: value })} /> {label}
        </label>
      ))}
    </fieldset>
  );
}

/** What a person has chosen. */
export function SettingsPage(): ReactNode {
  return (
    <>
      <div className="title"><h1>Preferences</h1> <span className="muted">kept for you, on whichever browser</span></div>
      <div className="grid2">
        <Choice title="Looks" name="theme" words={[["auto", "As the system"], ["light", "Light"], ["dark", "Dark"]]} />
        <Choice title="Contrast" name="contrast" words={[["auto", "As the system"], ["more", "High"]]} />
        <Choice title="Times" name="zone" words={[["local", "Local time"], ["utc", "UTC"]]} />
        <Choice title="Single letters as keys" name="keys" words={[[true, "On"], [false, "Off"]]} />
        <Choice title="Lines" name="density" words={[["normal", "Roomy"], ["dense", "Close together"]]} />
        <Choice title="The first page" name="landing" words={[["fleet", "Fleet"], ["events", "Events"], ["queries", "Queries of all servers"]]} />
      </div>
    </>
  );
}
