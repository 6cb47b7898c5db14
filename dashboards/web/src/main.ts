import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { startPrefs } from './lib/prefs.svelte';
import { startRouter } from './lib/router.svelte';

startRouter();
await startPrefs();
const target = document.getElementById('app');
if (target) mount(App, { target });
