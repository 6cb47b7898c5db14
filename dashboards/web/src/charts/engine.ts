// The parts of ECharts that we use; loaded only when a chart is on the page. No tooltip component: ours is
// plain HTML (TimeChart.svelte), which keeps the strict CSP and is reachable by keyboard.
import { LineChart, ScatterChart } from 'echarts/charts';
import { AriaComponent, GridComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

use([LineChart, ScatterChart, GridComponent, AriaComponent, SVGRenderer]);
export { init };
