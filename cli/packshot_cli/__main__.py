from packshot_cli.main import app

app()
