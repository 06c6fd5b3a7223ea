"""Tables, brain maps and the page that shows them."""


rule tabulate:
    output:
        results("tables/scores.tsv"),


rule extract_attention:
    output:
        of_experiment("maps/attention.tsv"),


rule plot_surface:
    output:
        of_experiment("maps/maps.tsv"),


rule build_browser:
    output:
        results("browser/index.html"),
